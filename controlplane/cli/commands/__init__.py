"""One file per noun of the command line. A command asks the operator service and hands the answer to a renderer.

Heavy libraries (grpc, rich, protobuf) are imported inside the commands, so that `--help` and completion stay quick.
"""
