"""A notebook's cells: the catalogue with prices, a question, and what it cost."""
# pyright: reportUnusedExpression=false

# %%
import pandas as pd
from openai import OpenAI

client = OpenAI()
chats = pd.json_normalize([model.to_dict() for model in client.models.list()])
chats

# %%
chats = chats[~chats["model_spec.offline"]]
price = chats["model_spec.pricing.input.usd"] + chats["model_spec.pricing.output.usd"]
model = chats.id[price.idxmin()]
response = client.chat.completions.create(
    model=model, messages=[{"role": "user", "content": "Why is Venice built on water?"}]
)
print(response.choices[0].message.content)

# %%
print(model, response.usage.total_tokens, "tokens,", response.cost["usd"], "USD")
client.close()
