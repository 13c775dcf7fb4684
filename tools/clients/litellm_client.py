"""LiteLLM against a running weir, as an OpenAI server and as a vLLM one: litellm_client.py URL MODEL."""
import json
import os
import sys

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # without it the import asks the network for prices
import litellm

from report import QUESTIONS, check, expect, expect_recipe, expect_weather

URL, MODEL = sys.argv[1:]
litellm.num_retries = 0
litellm.suppress_debug_info = True


class Client:
    def __init__(self, provider):
        self.provider = provider

    def chat(self, **more):
        return litellm.completion(**{"model": f"{self.provider}/{MODEL}", "api_base": URL + "/v1", "api_key": "unused",
                                     "messages": QUESTIONS["hello"], "temperature": 0, "max_tokens": 24, "timeout": 120,
                                     "max_retries": 0, **more})

    def weather(self, **more):
        return self.chat(messages=QUESTIONS["weather"], tools=[QUESTIONS["weather_tool"]], tool_choice="required",
                         parallel_tool_calls=False, max_tokens=200, **more)

    def recipe(self, **more):
        return self.chat(messages=QUESTIONS["recipe"], max_tokens=300, response_format={
            "type": "json_schema", "json_schema": {"name": "recipe", "strict": True,
                                                   "schema": QUESTIONS["recipe_schema"]}}, **more)

    def check_chat(self):
        answer = self.chat()
        expect(answer.choices[0].message.content, "no text")
        usage = answer.usage
        expect(usage.total_tokens == usage.prompt_tokens + usage.completion_tokens, f"usage does not add up: {usage}")

    def check_streaming(self):
        whole = self.chat().choices[0].message.content
        chunks = list(self.chat(stream=True, stream_options={"include_usage": True}))
        text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        expect(text == whole, f"streamed {text!r}, whole {whole!r}")
        built = litellm.stream_chunk_builder(chunks)
        expect(built.choices[0].message.content == whole, "its own joiner gives another text")
        expect(built.usage.completion_tokens > 0, "no usage")

    def check_completions(self):
        provider = {"openai": "text-completion-openai", "hosted_vllm": "hosted_vllm"}[self.provider]
        answer = litellm.text_completion(model=f"{provider}/{MODEL}", api_base=URL + "/v1", api_key="unused",
                                         prompt="Once upon a time", temperature=0, max_tokens=16, max_retries=0)
        expect(answer.choices[0].text, "no text")

    def check_tools(self):
        choice = self.weather().choices[0]
        expect(choice.finish_reason == "tool_calls", f"finish_reason {choice.finish_reason}")
        call = choice.message.tool_calls[0]
        expect_weather(call.function.name, json.loads(call.function.arguments))
        after = self.chat(tools=[QUESTIONS["weather_tool"]], max_tokens=8, messages=[
            *QUESTIONS["weather"], choice.message.model_dump(exclude_none=True),
            {"role": "tool", "tool_call_id": call.id, "content": "18 degrees, sunny"}])
        expect(after.choices[0].finish_reason in ("stop", "length", "tool_calls"), after.choices[0].finish_reason)

    def check_streamed_tools(self):
        built = litellm.stream_chunk_builder(list(self.weather(stream=True))).choices[0]
        expect(built.finish_reason == "tool_calls", f"finish_reason {built.finish_reason}")
        call = built.message.tool_calls[0]
        expect_weather(call.function.name, json.loads(call.function.arguments))

    def check_schema(self):
        expect_recipe(json.loads(self.recipe().choices[0].message.content))

    def check_streamed_schema(self):
        text = "".join(c.choices[0].delta.content or "" for c in self.recipe(stream=True))
        expect_recipe(json.loads(text))

    def check_errors(self):
        for more, kind in [({"temperature": 3}, litellm.BadRequestError),
                           ({"model": f"{self.provider}/other"}, litellm.NotFoundError)]:
            try:
                self.chat(**more)
            except kind:
                continue
            raise AssertionError(f"{more} raised nothing")


for provider in ("openai", "hosted_vllm"):
    client = Client(provider)
    for feature, call in [("chat", client.check_chat), ("streaming", client.check_streaming),
                          ("completions", client.check_completions), ("tools", client.check_tools),
                          ("streamed tools", client.check_streamed_tools), ("JSON schema", client.check_schema),
                          ("streamed schema", client.check_streamed_schema), ("errors", client.check_errors)]:
        check(f"LiteLLM ({provider})", feature, call)
