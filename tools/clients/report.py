"""What a client's script does with its findings: one line of JSON per feature on stdout."""
import json
import pathlib

QUESTIONS = json.loads((pathlib.Path(__file__).parent / "questions.json").read_text(encoding="utf-8"))


def expect(condition, what):
    if not condition:
        raise AssertionError(what)


def check(client, feature, call):
    try:
        call()
        found = {"client": client, "feature": feature, "ok": True}
    except Exception as error:  # whatever a client raises is a finding
        found = {"client": client, "feature": feature, "ok": False, "why": f"{type(error).__name__}: {error}"[:600]}
    print(json.dumps(found), flush=True)


def expect_recipe(recipe):
    expect(set(recipe) == {"name", "minutes", "vegetarian"}, f"a recipe has other keys: {recipe}")
    expect(isinstance(recipe["name"], str) and len(recipe["name"]) <= 30, f"no name: {recipe}")
    expect(type(recipe["minutes"]) is int and 1 <= recipe["minutes"] <= 300, f"no minutes: {recipe}")
    expect(isinstance(recipe["vegetarian"], bool), f"no answer to vegetarian: {recipe}")


def expect_weather(name, arguments):
    expect(name == "get_weather", f"the call is of {name!r}")
    expect(set(arguments) == {"city", "unit"}, f"the call has other arguments: {arguments}")
    expect(arguments["unit"] in ("celsius", "fahrenheit"), f"the unit is {arguments['unit']!r}")
