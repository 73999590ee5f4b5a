"""A notebook's cells: the catalogue with prices, a question, and what it cost."""
# pyright: reportUnusedExpression=false

# %%
from venice_ai import SyncVeniceClient

client = SyncVeniceClient()
client.models.list()

# %%
model = client.models.resolve_chat(prefer="cheapest")
response = client.chat.completions.create(
    model=model, messages="Why is Venice built on water?"
)
response

# %%
if response.cost and response.usage:
    print(model, response.usage.total_tokens, "tokens,", response.cost.usd, "USD")
client.close()
