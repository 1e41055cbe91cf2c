"""Languages: a refusal, an explanation, a page and a command say the same in Chinese; codes and values stay the same.

The catalogue is held to the code: every sentence is translated, with the same values, and none is left over.
"""

import ast
import json
import pickle
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from string import Formatter
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from api.cli import main
from api.import_rejected import written
from api.languages import (
    CHINESE,
    ENGLISH,
    LANGUAGES,
    LOCALE_VARIABLES,
    accepted_language,
    catalogue_path,
    choose_language,
    environment_language,
    translated,
)
from api.library_words import recognised
from ledger.refusal import Code, Refusal
from ledger.wording import Sentence, joined, kept, remembered, say, words_of
from tests.http_client import Service, fresh_database, placed, serving
from tests.messages import ROOT, collected, known
from tests.test_bad_input import CLASS, CLASS_CASES, EVENT_CASES, EVENTS, QUERY_CASES, RULE_CASES, RULES, record_orders

HAN = re.compile("[一-鿿]")
VALUE = re.compile(r"'[^']*'|\d[\d.:-]*\d|\d")
RFC_3339_UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
PLAIN = {"API", "{what} {name}"}
"""What is written the same way in both languages."""


@pytest.fixture(scope="module")
def service(server_url: Callable[[str], str], template: str) -> Iterator[Service]:
    """Serve a ledger with some orders."""
    with fresh_database(server_url, template) as database, serving(database) as service:
        record_orders(service)
        yield service


def both(service: Service, method: str, path: str, role: str, **options: Any) -> tuple[TestResponse, TestResponse]:
    """Ask in English and in Chinese; see that the answers say in which language they are."""
    answers = []
    for language, header in ((ENGLISH, "en"), (CHINESE, "zh-CN,zh;q=0.9,en;q=0.8")):
        headers = {**options.get("headers", {}), "Accept-Language": header}
        response = service.ask(method, path, role, **{**options, "headers": headers})
        assert response.headers["Content-Language"] == language
        assert "Accept-Language" in response.headers["Vary"]
        answers.append(response)
    return answers[0], answers[1]


def check_refusals(english: TestResponse, chinese: TestResponse) -> None:
    """See that two refusals are of one thing: only the sentences differ, and they have the same values."""
    told, again = english.get_json(), chinese.get_json()
    assert HAN.search(again["title"])
    assert [told[name] for name in ("type", "status", "code")] == [again[name] for name in ("type", "status", "code")]
    assert len(told["errors"]) == len(again["errors"]) > 0
    for error, same in zip(told["errors"], again["errors"], strict=True):
        assert (error["code"], error["pointer"]) == (same["code"], same["pointer"])
        assert HAN.search(same["detail"]), same["detail"]
        assert HAN.search(same["remedy"]), same["remedy"]
        assert not HAN.search(error["remedy"] + error["detail"].encode("ascii", "ignore").decode())
        missing = [value for value in VALUE.findall(error["detail"]) if value not in same["detail"]]
        assert missing == [], (error["detail"], same["detail"])


# ---- refusals


@pytest.mark.parametrize("case", EVENT_CASES, ids=lambda case: case.wrong)
def test_a_bad_event_is_refused_in_both_languages(service: Service, case: Any) -> None:
    check_refusals(*both(service, "POST", EVENTS, "ingest", sent=case.sent))


@pytest.mark.parametrize("case", RULE_CASES, ids=lambda case: case.wrong)
def test_a_bad_rule_change_is_refused_in_both_languages(service: Service, case: Any) -> None:
    check_refusals(*both(service, "POST", RULES, "rules", sent={"rule_change_id": "RC-1", **case.sent}))


@pytest.mark.parametrize("case", CLASS_CASES, ids=lambda case: case.wrong)
def test_a_bad_fact_is_refused_in_both_languages(service: Service, case: Any) -> None:
    check_refusals(*both(service, "PUT", CLASS, "ingest", sent=case.sent))


@pytest.mark.parametrize("case", QUERY_CASES, ids=lambda case: case.wrong)
def test_a_bad_question_is_refused_in_both_languages(service: Service, case: Any) -> None:
    """Also where a library said what is wrong."""
    check_refusals(*both(service, "GET", case.sent, "auditor"))


@pytest.mark.parametrize("code", Code, ids=lambda code: code.name)
def test_every_code_has_a_title_and_a_remedy_in_chinese(code: Code) -> None:
    assert HAN.search(translated(code.title, CHINESE))
    assert HAN.search(translated(code.remedy, CHINESE))
    assert (translated(code.title, ENGLISH), translated(code.remedy, ENGLISH)) == (code.title, code.remedy)


def test_a_batch_tells_each_event_in_the_language(service: Service) -> None:
    """Per item and as a whole; a good one is recorded as ever."""
    bad = placed("NEW", currency="EURO")
    for mode in ("atomic", "per_item"):
        answers = both(service, "POST", "/v1/order-events/bulk", "ingest", sent={"mode": mode, "events": [bad]})
        details = [json.dumps(answer.get_json(), ensure_ascii=False) for answer in answers]
        assert ("不是 ISO 4217 币种" in details[0], "不是 ISO 4217 币种" in details[1]) == (False, True)


def test_without_a_header_it_is_english(service: Service) -> None:
    response = service.ask("GET", "/v1/nothing", "auditor")
    assert (response.headers["Content-Language"], response.get_json()["title"]) == (ENGLISH, Code.not_found.title)


def test_a_refusal_before_the_route_is_in_the_language_too(service: Service) -> None:
    """Without a token, with a wrong one, and with another role's."""
    for role in ("", "olk_0_0", "monitor"):
        check_refusals(*both(service, "GET", "/v1/rules", role))


# ---- which language


@pytest.mark.parametrize(
    ("header", "language"),
    [
        (None, ENGLISH),
        ("", ENGLISH),
        ("en", ENGLISH),
        ("zh", CHINESE),
        ("zh-CN", CHINESE),
        ("zh-TW", CHINESE),
        ("zh-Hans-CN", CHINESE),
        ("ZH-cn", CHINESE),
        ("zh-CN,zh;q=0.9,en;q=0.8", CHINESE),
        ("en-GB,en;q=0.9,zh;q=0.8", ENGLISH),
        ("zh;q=0.5, en;q=0.9", ENGLISH),
        ("en;q=0, zh;q=0.1", CHINESE),
        ("en;q=0, *", CHINESE),
        ("zh;q=0", ENGLISH),
        ("fr, de;q=0.9", ENGLISH),
        ("fr, zh;q=0.1", CHINESE),
        ("*", ENGLISH),
        ("*;q=0.1, zh", CHINESE),
        ("zhuang", ENGLISH),
        (";;q=,,=;zh;q=x", ENGLISH),
        ("\u4e2d\u6587", ENGLISH),
    ],
)
def test_the_language_is_what_the_header_accepts(header: str | None, language: str) -> None:
    """Quality values, ranges, wildcards; what is none is English."""
    assert accepted_language(header) == language


@given(st.text(max_size=40))
@settings(max_examples=200)
def test_no_header_breaks_the_choice(header: str) -> None:
    assert accepted_language(header) in LANGUAGES


@pytest.mark.parametrize(
    ("variables", "language"),
    [
        ({}, ENGLISH),
        ({"LANG": "zh_CN.UTF-8"}, CHINESE),
        ({"LANG": "C"}, ENGLISH),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C.UTF-8"}, ENGLISH),
        ({"LANG": "de_DE.UTF-8", "LC_MESSAGES": "zh_TW"}, CHINESE),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": ""}, CHINESE),
    ],
)
def test_the_command_line_follows_the_locale(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], language: str
) -> None:
    """As POSIX orders them: LC_ALL, LC_MESSAGES, LANG."""
    for name in LOCALE_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert environment_language() == language


# ---- the mechanism


NAMES = st.from_regex(r"[a-z]{1,6}", fullmatch=True)
TEXTS = st.text(max_size=20)
VALUES = st.dictionaries(NAMES, TEXTS | st.integers() | st.builds(Sentence, st.just("{{inner}} 内"), st.just({})))


@st.composite
def said(draw: st.DrawFn) -> Sentence:
    """A sentence of any template that the catalogue lacks (none begins so), with values in any order."""
    values = draw(VALUES)
    template = "~" + draw(TEXTS).replace("{", "{{").replace("}", "}}")
    for name in draw(st.permutations(sorted(values))):
        template += f"{{{name}}}" + draw(TEXTS).replace("{", "{{").replace("}", "}}")
    return Sentence(template, values)


@given(said())
def test_a_sentence_is_its_english_text(sentence: Sentence) -> None:
    """To everything that reads text, translated to English, and after a journey to another process."""
    english = translated(sentence, ENGLISH)
    assert type(english) is str
    assert english == sentence == sentence.template.format(**sentence.values)
    assert translated(sentence, CHINESE) == english, "what the catalogue does not have is told in English"
    again = pickle.loads(pickle.dumps(sentence))  # noqa: S301 - our own bytes
    assert (again, again.template, again.values) == (sentence, sentence.template, sentence.values)


@given(said())
def test_a_sentence_that_is_kept_is_told_later_in_any_language(sentence: Sentence) -> None:
    """With its template and values; a text that is no sentence is kept as it is."""
    again = remembered(kept(sentence))
    assert isinstance(again, Sentence)
    assert (again, again.template, again.values) == (sentence, sentence.template, sentence.values)
    plain = remembered(kept(str(sentence)))
    assert (plain, type(plain)) == (sentence, str)
    assert translated(again, CHINESE) == translated(sentence, CHINESE)


def test_sentences_in_sentences_are_told_in_the_language() -> None:
    """As values, joined, added, and as the reason that an error was raised with."""
    detail = say("{value} is not a share from 0 to 9.9999 with at most four decimals", value="'x'")
    whole = say("{about}: {detail}", about=say("{what} {name}", what=Sentence("order"), name="'SO-7'"), detail=detail)
    assert translated(whole, CHINESE) == "订单 'SO-7'：'x' 不是 0 到 9.9999 之间、最多四位小数的比例"
    assert translated(joined(["a", "b", "c"], say(", "), say(" and ")), CHINESE) == "a、b 和 c"
    assert translated(say("its root") + say("; the first {signed_size} are", signed_size=3), CHINESE) == (
        "其根哈希；前 3 个是的"
    )
    assert words_of(ValueError(detail)) is detail
    assert translated(say("the checkpoint is not one: {error}", error=ValueError(detail)), CHINESE).endswith("的比例")


def test_a_librarys_text_is_recognised_with_its_values() -> None:
    """One that is not known stays English."""
    assert translated(recognised("Expected `str`, got `int`"), CHINESE) == "应为 `str`，实为 `int`"
    assert recognised("Something else.") == translated(recognised("Something else."), CHINESE) == "Something else."


# ---- the catalogue


def test_the_catalogue_is_complete() -> None:
    """Every sentence of the code is in it, translated, and nothing else: `make messages` adds what is missing."""
    catalogue = known(CHINESE)
    found = collected()
    kept = {str(message.id): str(message.string) for message in catalogue if message.id}
    assert (sorted(found.keys() - kept.keys()), sorted(kept.keys() - found.keys())) == ([], [])
    assert [message for message, told in kept.items() if not told.strip() and message.strip()] == []
    assert [message.id for message in catalogue if message.id and message.fuzzy] == []
    assert [message for message, told in kept.items() if told == message and message not in PLAIN] == []


def placeholders(template: str) -> list[tuple[str, str, str]]:
    """Give the values that a template shows, and how."""
    return sorted((name, form or "", how or "") for _, name, form, how in Formatter().parse(template) if name)


def test_a_translation_has_the_same_values() -> None:
    """None is lost, none is another one, and each is written in the same form."""
    helps = {message for message, places in collected().items() if places == {"help"}}
    for message in known(CHINESE):
        if message.id and message.id not in helps:
            assert placeholders(str(message.id)) == placeholders(str(message.string)), message.id


def test_the_catalogue_is_text_in_the_tree() -> None:
    """Nothing is compiled, so nothing can differ from what is read."""
    assert not list(catalogue_path(CHINESE).parent.glob("*.mo"))


# ---- explanations, pages, files, commands


def test_an_explanation_is_told_in_chinese_with_the_same_figures(service: Service) -> None:
    """Amounts are the ledger's decimals, not a locale's; the data beside the sentences is the same."""
    english, chinese = (answer.get_json() for answer in both(service, "GET", "/v1/orders/SO-1/explanation", "auditor"))
    assert chinese["sentences"][0].startswith("2026年3月10日的订单 SO-1 于2026年3月10日计入 ann 的业绩 200.00 EUR")
    assert "Order SO-1 of 10 March 2026 is credited to ann with 200.00 EUR" in english["sentences"][0]
    for told in (english, chinese):
        del told["sentences"]
        for line in told["lines"]:
            assert bool(HAN.search(line.pop("why"))) is (told is chinese)
    assert english == chinese


def test_pages_are_in_the_language(service: Service) -> None:
    for path, words in (
        ("/errors", "处理办法"),
        ("/errors/not_found", "所指的内容不存在"),
        ("/docs", "参数"),
        ("/", "请求"),
    ):
        english, chinese = both(service, "GET", path, "auditor")
        assert ('<html lang="en">' in english.text, words in english.text) == (True, False)
        assert ('<html lang="zh">' in chinese.text, words in chinese.text) == (True, True)


def test_signing_in_is_in_the_language(service: Service) -> None:
    english, chinese = both(service, "GET", "/sign-in", "")
    assert ("Access token" in english.text, "访问令牌" in english.text) == (True, False)
    assert ("Access token" in chinese.text, "访问令牌" in chinese.text) == (False, True)


def test_an_import_is_told_to_each_in_their_language(service: Service) -> None:
    """What was found when the file was staged, by whoever staged it: why it is read so, and what is wrong."""
    content = (
        b"order_id,order_date,order_type,customer_id,salesperson_id,product_id,quantity,amount,currency\r\n"
        b"IM-1,2026-03-05,standard,C-1,ann,P-1,2,168.00,EUR\r\n"
        b'IM-2,2026-03-32,standard,C-1,ann,P-1,2,"x",EUR\r\n'
        b",2026-03-06,standard,C-1,ann,P-1,2,168.00,EUR\r\n"
        b"IM-3,2026-03-06,standard\r\n"
    )
    options = {"data": content, "content_type": "text/csv", "query_string": {"name": "f"}}
    staged = service.ask("POST", "/v1/imports", "ingest", **options).get_json()
    english, chinese = (answer.get_json() for answer in both(service, "GET", f"/v1/imports/{staged['id']}", "ingest"))
    assert english == staged
    assert len(english["errors"]) == len(chinese["errors"]) >= 4
    assert [each["detail"] for each in chinese["errors"] if "customer_id" in each["detail"]] == [
        "订单 'IM-3'：customer_id 为空：请填写，或在导入配置中给出默认值"
    ]
    for error, same in zip(english["errors"], chinese["errors"], strict=True):
        assert HAN.search(same.pop("detail") + same.pop("remedy")), same
        assert not HAN.search(error.pop("detail") + error.pop("remedy"))
        assert error == same
    for decision, same in zip(english["decisions"], chinese["decisions"], strict=True):
        assert HAN.search(same.pop("why")), same
        assert not HAN.search(decision.pop("why"))
        assert decision == same
    rejected = both(service, "GET", f"/v1/imports/{staged['id']}/rejected", "ingest")
    assert ["订单" in answer.data.decode("utf-8-sig") for answer in rejected] == [False, True]


def test_a_rejected_row_is_told_in_english_where_the_encoding_has_no_chinese() -> None:
    """The file is read by the same profile again, so it keeps its encoding."""
    choose_language(CHINESE)
    try:
        sentence = say("the row has characters that are no text: leave them out")
        assert HAN.search(written(sentence, "gb18030"))
        assert written(sentence, "iso-8859-1") == sentence
    finally:
        choose_language(ENGLISH)


def test_a_csv_has_a_byte_order_mark_where_it_is_asked_for_in_chinese(service: Service) -> None:
    """Unless it is asked for without; no other format has one."""
    path, csv, mark = "/v1/order-types", {"Accept": "text/csv"}, b"\xef\xbb\xbf"
    english, chinese = both(service, "GET", path, "auditor", headers=csv)
    assert chinese.data == mark + english.data
    for query, starts in (("?bom=false", (False, False)), ("?bom=true", (True, True))):
        told = both(service, "GET", path + query, "auditor", headers=csv)
        assert tuple(answer.data.startswith(mark) for answer in told) == starts
    lines = both(service, "GET", path, "auditor", headers={"Accept": "application/x-ndjson"})
    assert lines[0].data == lines[1].data


def test_moments_are_rfc_3339_in_utc_in_every_language(service: Service) -> None:
    """What a program reads has no language."""
    paths = ("/v1/performance?period=2026-Q1", "/v1/orders/SO-1/explanation", "/v1/rules/history")
    names = {"known_at", "recorded_at", "proposed_at", "approved_at", "decided_at", "at"}
    for path in paths:
        for answer in both(service, "GET", path, "auditor"):
            moments = re.findall(r'"(\w+)":"(\d{4}-\d\d-\d\dT[^"]*)"', answer.text)
            assert {name for name, _ in moments} & names
            assert [moment for _, moment in moments if not RFC_3339_UTC.fullmatch(moment)] == []


@pytest.fixture
def chinese_line(service: Service) -> Callable[..., Any]:
    """Run commands on the ledger under LANG=zh_CN.UTF-8."""
    environment: dict[str, str | None] = {
        **dict.fromkeys(LOCALE_VARIABLES),
        "LANG": "zh_CN.UTF-8",
        "ORDERLEDGER_DATABASE_URL": service.database.url,
    }
    return lambda *words: CliRunner().invoke(main, words, env=environment)


def test_the_command_line_speaks_chinese(chinese_line: Callable[..., Any]) -> None:
    """Sentences, headings of tables, helps and refusals; not what programs read."""
    assert "2026年3月10日的订单 SO-1" in chinese_line("explain", "SO-1").stdout
    assert chinese_line("performance", "2026-Q1").stdout.splitlines()[0].split()[:2] == ["业务员", "名称"]
    assert chinese_line("webhook", "create", "https://192.0.43.8/hook").exit_code == 0
    assert chinese_line("webhook", "list").stdout.splitlines()[0].split()[1:3] == ["网址", "事件类型"]
    csv = chinese_line("performance", "2026-Q1", "--format", "csv").stdout
    assert csv.splitlines()[0].startswith("salesperson,name,currency")
    assert "显示 PERIOD 的业绩" in chinese_line("performance", "--help").stdout
    assert "列出订单类型" in chinese_line("rules", "--help").stdout
    whole = chinese_line("--help").stdout
    assert "订单进，业绩出" in whole
    assert "要请求的服务" in whole
    refused = chinese_line("performance", "2026-Q9")
    assert refused.exit_code == 1
    assert refused.stderr.startswith("invalid_period: '2026-Q9' 不是期间")
    wrong = chinese_line("performance", "2026-Q1", "--known-at", "yesterday")
    assert (wrong.exit_code, "'yesterday' 不是时刻" in wrong.stderr) == (2, True)


def test_click_speaks_chinese_too(chinese_line: Callable[..., Any]) -> None:
    """Its headings and what it says of a wrong use."""
    told = chinese_line("performance", "--help").stdout
    assert [word in told for word in ("用法：", "选项:", "显示本帮助并退出。", "[默认：table]")] == [True] * 4
    for words, said in (
        ((), "缺少参数 'PERIOD'"),
        (("2026-Q1", "--nope"), "没有选项 '--nope'。"),
        (("2026-Q1", "more"), "多余的参数（more）"),
        (("2026-Q1", "--position"), "选项 '--position' 需要 1 个值。"),
        (("2026-Q1", "--position", "x"), "'--position' 的值无效：'x' 不是有效的 integer range。"),
        (("2026-Q1", "--format", "pdf"), "'pdf' 不在可选值之中：'table'"),
    ):
        wrong = chinese_line("performance", *words)
        assert (wrong.exit_code, said in wrong.stderr) == (2, True), (words, wrong.stderr)
    assert "没有命令 'nothing'。" in chinese_line("nothing").stderr


def test_the_command_line_is_english_again_afterwards(chinese_line: Callable[..., Any], service: Service) -> None:
    """Nothing of one run stays for the next: the commands are translated as copies."""
    chinese_line("--help")
    environment = {**dict.fromkeys(LOCALE_VARIABLES), "LANG": "C"}
    told = CliRunner().invoke(main, ("performance", "--help"), env=environment)
    assert "Show performance of PERIOD" in told.stdout
    assert told.stdout.startswith("Usage: ")


def test_a_refusal_that_is_printed_in_a_log_is_english() -> None:
    """Whoever reads logs and tests reads one language."""
    refusal = Refusal.of(Code.not_found, say("there is no error code {name}: see /errors", name="x"))
    assert str(refusal) == "there is no error code x: see /errors [not_found]"


SAYING = {"Refusal", "Problem", "note", "note_about", "echo", "WrongUse", "UsageError", "NoteError", "MigrationError"}
"""What takes a sentence: calls of these, of their methods (`Refusal.of`), and assignments to `sentence`."""


def unsaid(path: Path) -> Iterator[str]:
    """Find texts with words in them that are given to people without `say`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Call(ast.Name(name), texts) | ast.Call(ast.Attribute(ast.Name(name), "of"), texts):
                found = texts if name in SAYING else []
            case ast.Call(ast.Attribute(attr="note" | "note_about"), [_, *texts]):
                found = texts[:1]
            case ast.Assign([ast.Name("sentence")], text):
                found = [text]
            case _:
                found = []
        for text in found:
            if isinstance(text, ast.JoinedStr) and any(is_words(part) for part in text.values):
                yield f"{path.name}:{text.lineno}"
            if is_words(text):
                yield f"{path.name}:{text.lineno}"


def is_words(node: ast.AST) -> bool:
    """Say whether this is a text with a word and a space."""
    return isinstance(node, ast.Constant) and bool(re.search(r"[a-z] | [a-z]", str(node.value)))


def test_every_sentence_is_said() -> None:
    """A text that is handed to people as it stands could not be translated: `say("…", name=…)` instead of f"…"."""
    paths = [path for folder in ("ledger", "projections", "api") for path in sorted((ROOT / folder).rglob("*.py"))]
    assert [where for path in paths for where in unsaid(path)] == []
