"""Where a name is traded, as far as its spelling tells: codes of money, and exchanges by the suffix behind a dot.

Deliberately not here: which suffixes a provider has (its own file), and when an exchange is open (sessions.py).
Invariant: a suffix means the same exchange at every provider that uses this table.
"""

from __future__ import annotations

from collections.abc import Mapping

#: Codes of money that states issue, and the offshore yuan. Source: ISO 4217.
_CODES = (
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF "
    "CHF CLF CLP CNH CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ "
    "GYD HKD HNL HRK HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR "
    "LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK "
    "PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD STN SYP SZL THB TJS TMT TND TOP "
    "TRY TTD TWD TZS UAH UGX USD UYU UZS VES VND VUV WST XAF XCD XOF XPF YER ZAR ZMW"
)
CURRENCIES = frozenset(_CODES.split())
#: Gold, silver, palladium and platinum, which have codes of ISO 4217 too and are traded in the hours of money.
METALS = frozenset(("XAU", "XAG", "XPD", "XPT"))

#: Our suffix of an exchange -> its MIC, or that of the exchange of the same country whose days and hours it keeps.
#: Source: ISO 10383, and https://help.yahoo.com/kb/SLN2310.html for the suffixes, autumn 2026.
EXCHANGES: Mapping[str, str] = {
    "LON": "XLON", "IL": "XLON", "DEX": "XETR", "FRA": "XFRA", "BE": "XFRA", "MU": "XFRA", "HA": "XFRA",
    "DU": "XDUS", "HM": "XHAM", "SG": "XSTU", "PA": "XPAR", "AS": "XAMS", "BR": "XBRU", "LS": "XLIS", "IR": "XDUB",
    "MI": "XMIL", "MC": "XMAD", "SW": "XSWX", "VI": "XWBO", "ST": "XSTO", "CO": "XCSE", "HE": "XHEL", "OL": "XOSL",
    "IC": "XICE", "TL": "XTAL", "VS": "XLIT", "WA": "XWAR", "PR": "XPRA", "AT": "ASEX", "IS": "XIST", "TA": "XTAE",
    "SR": "XSAU", "JO": "XJSE", "TRT": "XTSE", "TRV": "XTSE", "NE": "XTSE", "CN": "XTSE", "SA": "BVMF", "MX": "XMEX",
    "BA": "XBUE", "SN": "XSGO", "TYO": "XTKS", "HK": "XHKG", "SHH": "XSHG", "SHZ": "XSHE", "BSE": "XBOM",
    "NS": "XNSE", "KS": "XKRX", "KQ": "XKRX", "TW": "XTAI", "TWO": "XTAI", "SI": "XSES", "BK": "XBKK", "JK": "XIDX",
    "KL": "XKLS", "AX": "XASX", "NZ": "XNZE", "CA": "XCAI", "QA": "DSMD", "FUT": "CMES",
}  # fmt: skip
