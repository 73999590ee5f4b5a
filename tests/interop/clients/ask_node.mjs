// `openai` for Node and the `ai` package ask a server. Each line of standard input is a question, as `asked.py` says.
import { createInterface } from "node:readline";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, jsonSchema, stepCountIs, streamText, tool } from "ai";
import OpenAI from "openai";

// `ai` rejects promises that nobody waits for when a stream is aborted, which would end this process.
process.on("unhandledRejection", () => {});

const openai = (url) => new OpenAI({ baseURL: url, apiKey: "any", maxRetries: 0 });
const compatible = (url) => createOpenAICompatible({ name: "venice", baseURL: url, apiKey: "any", includeUsage: true });
const weather = {
  name: "get_weather",
  description: "The weather of a town.",
  parameters: { type: "object", properties: { town: { type: "string" } }, required: ["town"] },
};

const scenarios = {
  async create({ base_url, ...request }) {
    return await openai(base_url).chat.completions.create(request);
  },
  async stream({ base_url, ...request }) {
    const chunks = [];
    for await (const chunk of await openai(base_url).chat.completions.create({ ...request, stream: true })) chunks.push(chunk);
    return chunks;
  },
  async refused({ base_url, ...request }) {
    try {
      await openai(base_url).chat.completions.create(request);
    } catch (error) {
      return { status: error.status, message: error.message };
    }
    return null;
  },
  async leave({ base_url, ...request }) {
    for await (const chunk of await openai(base_url).chat.completions.create({ ...request, stream: true })) return chunk.object;
  },
  async broken({ base_url, ...request }) {
    let count = 0;
    try {
      for await (const _ of await openai(base_url).chat.completions.create({ ...request, stream: true })) count += 1;
    } catch (error) {
      return { count, message: String(error.message) };
    }
    return { count, message: null };
  },
  async assembled({ base_url, ...request }) {
    const runner = openai(base_url).chat.completions.stream({ ...request, tools: [{ type: "function", function: weather }] });
    return await runner.finalChatCompletion();
  },
  async ai_text({ base_url, model, prompt }) {
    const { text, usage, finishReason } = await generateText({ model: compatible(base_url)(model), prompt, maxRetries: 0 });
    return { text, usage, finishReason };
  },
  async ai_stream({ base_url, model, prompt }) {
    const answer = streamText({ model: compatible(base_url)(model), prompt, maxRetries: 0 });
    const pieces = [];
    for await (const piece of answer.textStream) pieces.push(piece);
    return { pieces, finishReason: await answer.finishReason };
  },
  async ai_leave({ base_url, model, prompt }) {
    const controller = new AbortController();
    const answer = streamText({
      model: compatible(base_url)(model), prompt, maxRetries: 0, abortSignal: controller.signal, onError() {},
    });
    for await (const piece of answer.textStream) {
      controller.abort();
      return piece;
    }
  },
  async ai_broken({ base_url, model, prompt }) {
    const errors = [];
    const answer = streamText({
      model: compatible(base_url)(model), prompt, maxRetries: 0, onError({ error }) { errors.push(String(error?.message ?? error)); },
    });
    let text = "";
    try {
      for await (const piece of answer.textStream) text += piece;
    } catch (error) {
      errors.push(String(error.message));
    }
    return { text, errors };
  },
  async ai_refused({ base_url, model, prompt }) {
    try {
      await generateText({ model: compatible(base_url)(model), prompt, maxRetries: 0 });
    } catch (error) {
      return { status: error.statusCode, message: error.message };
    }
    return null;
  },
  async ai_tools({ base_url, model, prompt, result }) {
    const given = [];
    const get_weather = tool({
      description: weather.description,
      inputSchema: jsonSchema(weather.parameters),
      execute: async (input) => { given.push(input); return result; },
    });
    const answer = streamText({
      model: compatible(base_url)(model), prompt, tools: { get_weather }, stopWhen: stepCountIs(3), maxRetries: 0,
    });
    const text = await answer.text;
    return { text, given };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { do: name, ...question } = JSON.parse(line);
  let reply;
  try {
    reply = { answer: (await scenarios[name](question)) ?? null };
  } catch (error) {
    reply = { failed: String(error.stack ?? error) };
  }
  process.stdout.write(JSON.stringify(reply) + "\n");
}
