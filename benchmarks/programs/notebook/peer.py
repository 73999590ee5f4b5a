"""A notebook's cells: the catalogue with prices, a question, and what it cost."""

# %%
import pandas as pd
from openai import OpenAI

client = OpenAI()
specs = {model.id: model.model_spec for model in client.models.list()}
chats = pd.DataFrame(
    [
        {
            "id": name,
            "context": spec["availableContextTokens"],
            "input_usd": spec["pricing"]["input"]["usd"],
            "output_usd": spec["pricing"]["output"]["usd"],
        }
        for name, spec in specs.items()
        if not spec["offline"] and "pricing" in spec
    ]
)
chats

# %%
cheapest = chats.assign(price=chats.input_usd + chats.output_usd).nsmallest(1, "price")
chosen = cheapest.iloc[0]
response = client.chat.completions.create(
    model=chosen.id,
    messages=[{"role": "user", "content": "Why is Venice built on water?"}],
)
print(response.choices[0].message.content)

# %%
used = response.usage
cost = (
    used.prompt_tokens * chosen.input_usd + used.completion_tokens * chosen.output_usd
)
print(chosen.id, used.total_tokens, "tokens,", cost / 1e6, "USD")
client.close()
