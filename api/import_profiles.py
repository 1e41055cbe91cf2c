"""Import profiles: how a file is to be read, as far as somebody said it; and what the headers of columns mean.

A profile says what it says, and what it leaves out is proposed from the content (import_proposal.py). Headers are known
in English and Chinese; width, case, spaces and punctuation make no difference.
Source: design, section 7.
"""

import re
import unicodedata
from collections import Counter
from typing import Final, get_args

from api.shapes import Decision, Field, ImportProfile
from ledger.checks import Checks, shown
from ledger.refusal import Code
from ledger.wording import say

FIELDS: Final[tuple[Field, ...]] = get_args(Field)
REQUIRED: Final[tuple[Field, ...]] = (
    *("order_id", "order_date", "order_type", "customer_id", "currency", "product_id", "quantity", "amount"),
)
IDENTIFIERS: Final = ("order_id", "customer_id", "salesperson_id", "product_id")
HEADER_FIELDS: Final = ("order_id", "order_date", "order_type", "customer_id", "customer_name", "currency")
"""What is of the order, so that all its rows must say the same."""


def check_profile(profile: ImportProfile) -> None:
    """Refuse a profile whose texts can't be what they are for. Errors: Refusal (invalid_value)."""
    checks = Checks("the profile")
    checks.identifier(profile.source, "/source")
    if profile.header is not None and (not profile.header.strip() or "\x00" in profile.header):
        checks.note(Code.invalid_value, say("the header is named by one of its cells, which is not blank"), "/header")
    for field, header in profile.columns.items():
        if not header.strip() or "\x00" in header:
            checks.note(
                Code.invalid_value, say("a column is named by its header, which is not blank"), f"/columns/{field}"
            )
    for field, value in profile.defaults.items():
        checks.identifier(value, f"/defaults/{field}")
    checks.refuse_if_any()


# ---- headers

_NOT_LETTERS = re.compile(r"[\W_]+")


def folded(header: str) -> str:
    """Give what of a header makes a difference.

    >>> folded("　Order No．"), folded("order_no"), folded("订单编号（必填）")
    ('orderno', 'orderno', '订单编号必填')
    """
    return _NOT_LETTERS.sub("", unicodedata.normalize("NFKC", header).casefold())


# fmt: off
_NAMES: Final[dict[Field, str]] = {
    "order_id": "order_id, order, order no, order no., order number, order nr, order #, sales order, sales order no,"
        " sales order number, so number, so no, document no, document number, sales document, 订单, 订单号, 订单编号,"
        " 订单号码, 订单ID, 销售订单, 销售订单号, 单号, 单据编号, 单据号, 訂單, 訂單號, 訂單編號, 訂單號碼, 單號",
    "order_date": "order_date, ordered on, ordered_on, date, order day, date of order, document date, sales date,"
        " 下单日期, 订单日期, 下单时间, 订单时间, 销售日期, 单据日期, 日期, 下單日期, 訂單日期, 銷售日期, 單據日期",
    "order_type": "order_type, type, order class, document type, order category, sales document type,"
        " 订单类型, 订单类别, 订单种类, 单据类型, 类型, 訂單類型, 訂單類別, 單據類型, 類型",
    "customer_id": "customer_id, customer no, customer no., customer number, customer code, customer nr, client id,"
        " client no, client code, account id, account no, account number, sold to party, sold-to, debtor no,"
        " 客户编号, 客户号, 客户代码, 客户编码, 客户ID, 客戶編號, 客戶代碼, 客戶號, 客戶ID",
    "customer_name": "customer_name, client name, account name, company, company name,"
        " 客户名称, 客户名, 客户姓名, 公司名称, 客戶名稱, 客戶名, 客戶姓名, 公司名稱",
    "salesperson_id": "salesperson_id, salesperson no, salesperson number, salesperson code, sales rep id,"
        " sales rep no, sales rep code, rep id, employee id, employee no, seller id,"
        " 业务员编号, 业务员代码, 业务员工号, 业务员ID,"
        " 销售员编号, 销售员代码, 销售人员编号, 员工编号, 工号, 業務員編號, 業務員代碼, 員工編號, 工號",
    "salesperson_name": "salesperson_name, sales rep name, rep name, employee name, seller name,"
        " 业务员姓名, 业务员名称, 销售员姓名, 销售人员姓名, 員工姓名, 業務員姓名, 業務員名稱",
    "share": "share, split, split share, credit share, 分成, 分摊比例, 业绩比例, 分成比例, 分攤比例, 業績比例",
    "currency": "currency, currency code, curr, curr., ccy, 币种, 货币, 币别, 货币代码, 幣種, 貨幣, 幣別",
    "line_no": "line_no, line, line no., line number, position, pos, pos., item, item no, item number, line item,"
        " 行号, 行项目, 序号, 项次, 明细行, 行號, 項次, 序號",
    "product_id": "product_id, product no, product number, product code, article, article no, article number, material,"
        " material no, material number, sku, item code, part no, part number, 产品编号, 产品代码, 产品编码, 产品号,"
        " 产品ID, 商品编号, 商品编码, 商品代码, 物料编号, 物料编码, 物料号, 货号, 料号, 產品編號, 產品代碼, 商品編號,"
        " 物料編號, 料號, 貨號",
    "product_name": "product_name, product description, article name, material description, item name, description,"
        " 产品名称, 品名, 商品名称, 物料名称, 物料描述, 產品名稱, 商品名稱, 物料名稱",
    "category": "category, product category, product group, material group, item category, product line,"
        " 类别, 产品类别, 产品分类, 商品类别, 物料组, 品类, 分类, 類別, 產品類別, 產品分類, 品類",
    "quantity": "quantity, qty, qty., pieces, units, order quantity, 数量, 订单数量, 销售数量, 件数, 數量, 訂單數量",
    "amount": "amount, net amount, line amount, line total, net value, sales amount, 金额, 订单金额, 销售金额, 销售额,"
        " 净额, 行金额, 不含税金额, 金額, 訂單金額, 銷售金額, 銷售額, 淨額",
}
_PEOPLE = (
    "salesperson, sales person, sales rep, sales representative, rep, seller, salesman, employee, account manager,"
    " 业务员, 销售员, 销售人员, 销售代表, 员工, 業務員, 銷售員, 銷售人員, 員工"
)
_EITHER: Final[tuple[tuple[Field, Field, str], ...]] = (
    ("customer_id", "customer_name", "customer, client, account, 客户, 客戶"),
    ("salesperson_id", "salesperson_name", _PEOPLE),
    ("product_id", "product_name", "product, 产品, 商品, 物料, 產品"),
)
# fmt: on
SYNONYMS: Final[dict[str, Field]] = {
    folded(name): field for field, names in _NAMES.items() for name in names.split(",")
}
GENERIC: Final[dict[str, tuple[Field, Field]]] = {
    folded(name): (identifier, name_field) for identifier, name_field, names in _EITHER for name in names.split(",")
}
"""Headers that name the thing: its id where no other column has it, else its name."""


def is_known(header: str) -> bool:
    """Say whether a header is one that is understood."""
    return folded(header) in SYNONYMS or folded(header) in GENERIC


def is_of_either(header: str) -> bool:
    """Say whether a header names the thing alone, so that its values may be ids or names."""
    return folded(header) in GENERIC


def propose_columns(headers: list[str], given: dict[Field, str]) -> tuple[dict[Field, str], list[Decision]]:
    """Give the header of each field that has a column, as given or by what the headers are called, and the decisions.

    Shape: what is given holds; a header that nobody understands is no field's.
    """
    chosen, decisions = _given_columns(headers, given)
    for field, claimed in _claims(headers, given, chosen).items():
        if len(claimed) == 1:
            chosen[field] = claimed[0]
            decisions.append(Decision(_decides(field), claimed[0], True, say("the header is called so")))
        else:
            sentence = _repeated(claimed) or say("{claimed_count} columns may be it", claimed_count=len(claimed))
            decisions.append(Decision(_decides(field), None, False, sentence, claimed))
    return chosen, decisions


def _given_columns(headers: list[str], given: dict[Field, str]) -> tuple[dict[Field, str], list[Decision]]:
    chosen, decisions = dict[Field, str](), list[Decision]()
    for field, header in given.items():
        found = [each for each in headers if each == header] or [
            each for each in headers if folded(each) == folded(header)
        ]
        if len(found) == 1:
            chosen[field] = found[0]
            decisions.append(Decision(_decides(field), found[0], True, say("the profile says so")))
        elif found:
            decisions.append(
                Decision(
                    _decides(field),
                    None,
                    False,
                    _repeated(found) or say("{found_count} columns are called so", found_count=len(found)),
                    found,
                )
            )
        else:
            sentence = say("the profile says {header!r}, and no column is called so", header=header)
            decisions.append(Decision(_decides(field), None, False, sentence, headers))
    return chosen, decisions


def _repeated(headers: list[str]) -> str | None:
    """Say that a header is there several times, which no profile can tell apart; None where none is."""
    header, count = Counter(headers).most_common(1)[0]
    return say("the header {header} is there {count} times", header=shown(header), count=count) if count > 1 else None


def _claims(headers: list[str], given: dict[Field, str], chosen: dict[Field, str]) -> dict[Field, list[str]]:
    """Give the headers that may be each field's, by what they are called; two of one name are two."""
    left = [header for header in headers if header.strip() and header not in chosen.values()]
    claims = dict[Field, list[str]]()
    for header in left:
        if (known := SYNONYMS.get(folded(header))) and known not in given:
            claims.setdefault(known, []).append(header)
    for header in left:
        if either := GENERIC.get(folded(header)):
            identifier, name = either
            if identifier not in claims and identifier not in given:
                claims[identifier] = [header]
            elif name not in claims and name not in given and claims.get(identifier) != [header]:
                claims[name] = [header]
    return claims


def _decides(field: str) -> str:
    return f"columns/{field}"
