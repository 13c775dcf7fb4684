// The official client for Node against a running weir: openai_node.cjs URL MODEL. One line of JSON per feature.
'use strict';
const assert = require('node:assert');
const OpenAI = require('openai');
const { zodResponseFormat } = require('openai/helpers/zod');
const { z } = require('zod');
const questions = require('./questions.json');

const [, , url, model] = process.argv;
const client = new OpenAI({ baseURL: url + '/v1', apiKey: 'unused', maxRetries: 0, timeout: 120000 });
const chat = (more) => client.chat.completions.create(
  { model, messages: questions.hello, temperature: 0, max_tokens: 24, ...more });
const weather = { messages: questions.weather, tools: [questions.weather_tool], tool_choice: 'required',
  parallel_tool_calls: false, max_tokens: 200 };
const Recipe = z.object({ name: z.string().max(30), minutes: z.int().min(1).max(300), vegetarian: z.boolean() });

function expectWeather(call) {
  assert.strictEqual(call.function.name, 'get_weather');
  const found = JSON.parse(call.function.arguments);
  assert.deepStrictEqual(Object.keys(found).sort(), ['city', 'unit']);
  assert.ok(['celsius', 'fahrenheit'].includes(found.unit), found.unit);
}

const features = {
  'chat': async () => {
    const answer = await chat({});
    assert.ok(answer.choices[0].message.content);
    assert.ok(answer._request_id);
    assert.strictEqual(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens);
  },
  'streaming': async () => {
    const whole = await chat({});
    let text = '';
    let usage = null;
    for await (const chunk of await chat({ stream: true, stream_options: { include_usage: true } })) {
      text += chunk.choices[0]?.delta.content ?? '';
      usage = chunk.usage ?? usage;
    }
    assert.strictEqual(text, whole.choices[0].message.content);
    assert.deepStrictEqual(usage, whole.usage);
    const helped = client.chat.completions.stream({ model, messages: questions.hello, temperature: 0, max_tokens: 24 });
    assert.strictEqual(await helped.finalContent(), text);
  },
  'completions': async () => {
    const asked = { model, prompt: 'Once upon a time', temperature: 0, max_tokens: 16 };
    const whole = (await client.completions.create({ ...asked, logprobs: 2 })).choices[0];
    assert.strictEqual(whole.logprobs.tokens.length, 16);
    let text = '';
    for await (const chunk of await client.completions.create({ ...asked, stream: true })) text += chunk.choices[0].text;
    assert.strictEqual(text, whole.text);
  },
  'tools': async () => {
    const choice = (await chat(weather)).choices[0];
    assert.strictEqual(choice.finish_reason, 'tool_calls');
    expectWeather(choice.message.tool_calls[0]);
    const after = await chat({ tools: weather.tools, max_tokens: 8, messages: [...questions.weather, choice.message,
      { role: 'tool', tool_call_id: choice.message.tool_calls[0].id, content: '18 degrees, sunny' }] });
    assert.ok(['stop', 'length', 'tool_calls'].includes(after.choices[0].finish_reason));
  },
  'streamed tools': async () => {
    const events = { name: 0 };
    const stream = client.chat.completions.stream({ model, temperature: 0, ...weather });
    stream.on('tool_calls.function.arguments.done', (event) => { events.name += event.name === 'get_weather'; });
    const final = await stream.finalChatCompletion();
    assert.strictEqual(final.choices[0].finish_reason, 'tool_calls');
    expectWeather(final.choices[0].message.tool_calls[0]);
    assert.strictEqual(events.name, 1);
  },
  'JSON schema': async () => {
    const parsed = await client.chat.completions.parse({ model, messages: questions.recipe, temperature: 0, max_tokens: 300,
      response_format: zodResponseFormat(Recipe, 'recipe') });
    Recipe.parse(parsed.choices[0].message.parsed);
  },
  'streamed schema': async () => {
    const stream = client.chat.completions.stream({ model, messages: questions.recipe, temperature: 0, max_tokens: 300,
      response_format: zodResponseFormat(Recipe, 'recipe') });
    Recipe.parse((await stream.finalChatCompletion()).choices[0].message.parsed);
  },
  'errors': async () => {
    await assert.rejects(chat({ temperature: 3 }), (error) => error instanceof OpenAI.BadRequestError &&
      error.code === 'invalid_value' && error.param === 'temperature' && Boolean(error.requestID));
    await assert.rejects(chat({ model: 'other' }), (error) => error instanceof OpenAI.NotFoundError &&
      error.code === 'model_not_found');
    assert.strictEqual((await client.models.list()).data[0].id, model);
  },
};

(async () => {
  for (const [feature, call] of Object.entries(features)) {
    const found = { client: 'openai (Node)', feature, ok: true };
    try {
      await call();
    } catch (error) {
      found.ok = false;
      found.why = String(error).slice(0, 600);
    }
    console.log(JSON.stringify(found));
  }
})();
