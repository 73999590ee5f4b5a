"""What is sealed and opened in the measures of encryption: the same texts and keys for everybody.

Models of these works are names of a kind of key and a number of texts: `fastest-50`, `openssl-50`.
"""

TEXT = b"What did the doge throw into the sea on Ascension Day, and what did he say when he did it? Answer in a sentence."
ENCLAVE_SECRET = bytes(range(1, 33))
CLIENT_SECRET = bytes(range(2, 34))


def count(model: str) -> int:
    return int(model.partition("-")[2])
