"""The asyncio classes. Edit these; their synchronous twins are generated from them."""
