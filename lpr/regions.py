"""Names of countries, as models label plates, to ISO 3166-1 alpha-2.

Always true here: a label that is neither a known name nor two letters gives no region, because a
wrong country is worse than none.
"""

from __future__ import annotations

_NAMES = """
AD Andorra|AE United Arab Emirates|AL Albania|AM Armenia|AR Argentina|AT Austria|AU Australia
AZ Azerbaijan|BA Bosnia and Herzegovina|BD Bangladesh|BE Belgium|BG Bulgaria|BO Bolivia|BR Brazil
BY Belarus|CA Canada|CH Switzerland|CL Chile|CN China|CO Colombia|CR Costa Rica|CU Cuba|CY Cyprus
CZ Czech Republic|CZ Czechia|DE Germany|DK Denmark|DO Dominican Republic|DZ Algeria|EC Ecuador
EE Estonia|EG Egypt|ES Spain|FI Finland|FR France|GB United Kingdom|GB Great Britain|GE Georgia
GI Gibraltar|GR Greece|GT Guatemala|HK Hong Kong|HN Honduras|HR Croatia|HU Hungary|ID Indonesia
IE Ireland|IL Israel|IN India|IQ Iraq|IR Iran|IS Iceland|IT Italy|JO Jordan|JP Japan|KE Kenya
KG Kyrgyzstan|KH Cambodia|KR South Korea|KW Kuwait|KZ Kazakhstan|LB Lebanon|LI Liechtenstein
LK Sri Lanka|LT Lithuania|LU Luxembourg|LV Latvia|MA Morocco|MC Monaco|MD Moldova|ME Montenegro
MK North Macedonia|MK Macedonia|MM Myanmar|MN Mongolia|MT Malta|MX Mexico|MY Malaysia|NG Nigeria
NI Nicaragua|NL Netherlands|NO Norway|NP Nepal|NZ New Zealand|OM Oman|PA Panama|PE Peru
PH Philippines|PK Pakistan|PL Poland|PR Puerto Rico|PT Portugal|PY Paraguay|QA Qatar|RO Romania
RS Serbia|RU Russia|SA Saudi Arabia|SE Sweden|SG Singapore|SI Slovenia|SK Slovakia|SM San Marino
SV El Salvador|SY Syria|TH Thailand|TJ Tajikistan|TM Turkmenistan|TN Tunisia|TR Turkey|TW Taiwan
UA Ukraine|US United States|US United States of America|UY Uruguay|UZ Uzbekistan|VE Venezuela
VN Vietnam|XK Kosovo|ZA South Africa
"""
_NO_CODES = {"UK": "GB", "EU": ""}
"""What looks like a code and is not a country's."""
_BY_NAME = {
    entry[3:].lower(): entry[:2]
    for line in _NAMES.strip().splitlines()
    for entry in line.split("|")
}


def alpha2(label: str) -> str:
    """ISO 3166-1 alpha-2 of a model's label, or empty."""
    plain = " ".join(label.replace("_", " ").replace("-", " ").split())
    if len(plain) == 2 and plain.isascii() and plain.isalpha():
        return _NO_CODES.get(plain.upper(), plain.upper())
    return _BY_NAME.get(plain.lower(), "")
