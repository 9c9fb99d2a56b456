"""A real web proxy on loopback: it connects whoever asks (HTTP CONNECT), or refuses everybody."""

import contextlib
import socket
import threading
from collections.abc import Iterator


class WebProxy:
    """Listens until `close`; `asked` are the heads of all requests."""

    def __init__(self, refuses: str = "") -> None:
        self.asked: list[str] = []
        self._refuses = refuses
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def url(self) -> str:
        """What a setting names."""
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        """Listen no longer."""
        self._listener.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                caller, _ = self._listener.accept()
                threading.Thread(target=self._connect, args=(caller,), daemon=True).start()

    def _connect(self, caller: socket.socket) -> None:
        with contextlib.suppress(OSError), caller:
            head = b""
            while b"\r\n\r\n" not in head:
                head += caller.recv(1)
            self.asked.append(head.decode())
            if self._refuses:
                caller.sendall(f"HTTP/1.1 {self._refuses}\r\n\r\n".encode())
                return
            host, _, port = head.split()[1].decode().rpartition(":")
            with socket.create_connection((host.strip("[]"), int(port))) as target:
                caller.sendall(b"HTTP/1.1 200 connected\r\n\r\n")
                back = threading.Thread(target=_pass, args=(target, caller), daemon=True)
                back.start()
                _pass(caller, target)
                back.join()


def _pass(one: socket.socket, other: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := one.recv(65536):
            other.sendall(data)
    with contextlib.suppress(OSError):
        other.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def web_proxy(refuses: str = "") -> Iterator[WebProxy]:
    """A proxy for one test; `refuses` is the status with which it turns everybody down."""
    proxy = WebProxy(refuses)
    try:
        yield proxy
    finally:
        proxy.close()
