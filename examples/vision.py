"""A message with a picture."""

import asyncio
import base64
import struct
import zlib

from venice_ai import ImageContent, ImageUrl, TextContent, UserMessage, VeniceClient


def red_square(side: int = 64) -> bytes:
    """A PNG, so that this example needs no file. Venice wants at least 64 pixels a side."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    rows = (b"\0" + b"\xc8\x10\x2e" * side) * side
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


async def main() -> None:
    # A public https address of a picture may stand here, too.
    picture = f"data:image/png;base64,{base64.b64encode(red_square()).decode()}"
    question = UserMessage(
        content=[TextContent(text="Which colour is this square?"), ImageContent(image_url=ImageUrl(url=picture))]
    )
    async with VeniceClient() as client:
        model = await client.models.resolve_chat(require_vision=True)
        reply = await client.chat.completions.create(model=model, messages=[question])
    print(f"{model}: {reply.text}")


if __name__ == "__main__":
    asyncio.run(main())
