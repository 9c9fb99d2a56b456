"""What lies where in the state directory: the names that the process, its administrator and tests share."""

STORE_FILE = "store.db"
IDENTITY_DIR = "identity"
OUTPUTS_DIR = "outputs"
BLACK_BOXES_DIR = "black-boxes"
ARCHIVE_DIR = "archive"
RELEASES_DIR = "releases"
LISTENING_FILE = "listening.json"
