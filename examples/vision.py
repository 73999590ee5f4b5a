"""A message with an image."""

import asyncio
import struct
import zlib

from venice_ai import TextContent, UserMessage, VeniceClient, attachment


def red_square(side: int = 64) -> bytes:
    """A PNG image; Venice takes images of at least 64 pixels a side."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    rows = zlib.compress((b"\0" + b"\xc8\x10\x2e" * side) * side)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", rows), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


async def main() -> None:
    # The path of a file, attachment("photo.jpg"), and a public address work as well.
    image = attachment(red_square())
    question = UserMessage(
        content=[TextContent(text="Which colour is this square?"), image]
    )
    async with VeniceClient() as client:
        model = await client.models.resolve_chat(require_vision=True)
        response = await client.chat.completions.create(
            model=model, messages=[question]
        )
    print(f"{model}: {response.text}")


if __name__ == "__main__":
    asyncio.run(main())
