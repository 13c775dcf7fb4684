"""LangChain's ChatOpenAI and OpenAI against a running weir: langchain_client.py URL MODEL."""
import sys

import openai
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI, OpenAI

from report import QUESTIONS, check, expect, expect_recipe, expect_weather

URL, MODEL = sys.argv[1:]


def chat(**more):
    return ChatOpenAI(**{"base_url": URL + "/v1", "api_key": "unused", "model": MODEL, "temperature": 0, "max_tokens": 24,
                         "max_retries": 0, "timeout": 120, **more})


def question(name):
    return [HumanMessage(QUESTIONS[name][0]["content"])]


def check_chat():
    answer = chat().invoke(question("hello"))
    expect(answer.content, "no text")
    expect(answer.usage_metadata["total_tokens"] > 0, "no usage")


def check_streaming():
    whole = chat().invoke(question("hello"))
    joined = None
    for chunk in chat(stream_usage=True).stream(question("hello")):
        joined = chunk if joined is None else joined + chunk
    expect(joined.content == whole.content, f"streamed {joined.content!r}, whole {whole.content!r}")
    expect(joined.usage_metadata == whole.usage_metadata, f"usage {joined.usage_metadata}, {whole.usage_metadata}")


def check_completions():
    model = OpenAI(base_url=URL + "/v1", api_key="unused", model=MODEL, temperature=0, max_tokens=16, max_retries=0)
    text = model.invoke("Once upon a time")
    expect(text, "no text")
    expect("".join(model.stream("Once upon a time")) == text, "streamed text differs")


def with_weather(choice="required"):
    return chat(max_tokens=200).bind_tools([QUESTIONS["weather_tool"]], tool_choice=choice, parallel_tool_calls=False)


def check_tools():
    for choice in ("required", "get_weather"):  # the second is sent as a named function
        answer = with_weather(choice).invoke(question("weather"))
        expect(len(answer.tool_calls) == 1, f"{len(answer.tool_calls)} calls")
        expect_weather(answer.tool_calls[0]["name"], answer.tool_calls[0]["args"])
    after = chat(max_tokens=8).invoke([*question("weather"), answer,
                                       ToolMessage("18 degrees, sunny", tool_call_id=answer.tool_calls[0]["id"])])
    expect(after.response_metadata["finish_reason"] in ("stop", "length"), after.response_metadata)


def check_streamed_tools():
    joined = None
    for chunk in with_weather().stream(question("weather")):
        joined = chunk if joined is None else joined + chunk
    expect(len(joined.tool_calls) == 1 and not joined.invalid_tool_calls, f"calls {joined.tool_calls}")
    expect_weather(joined.tool_calls[0]["name"], joined.tool_calls[0]["args"])


def check_schema():
    for method in ("json_schema", "function_calling"):
        expect_recipe(chat(max_tokens=300).with_structured_output(QUESTIONS["recipe_schema"], method=method).invoke(
            question("recipe")))


def check_streamed_schema():
    last = None
    for last in chat(max_tokens=300).with_structured_output(QUESTIONS["recipe_schema"], method="json_schema").stream(
            question("recipe")):
        pass
    expect_recipe(last)


def check_errors():
    for more, kind in [({"temperature": 3}, openai.BadRequestError), ({"model": "other"}, openai.NotFoundError)]:
        try:
            chat(**more).invoke(question("hello"))
        except kind:
            continue
        raise AssertionError(f"{more} raised nothing")


for feature, call in [("chat", check_chat), ("streaming", check_streaming), ("completions", check_completions),
                      ("tools", check_tools), ("streamed tools", check_streamed_tools), ("JSON schema", check_schema),
                      ("streamed schema", check_streamed_schema), ("errors", check_errors)]:
    check("LangChain", feature, call)
