"""Languages by their BCP-47 primary code; the ISO 639-3 codes of the data sets are accepted for it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from clir.support.errors import ClirError, UsageError, unknown

# code, English name, other spellings: the ISO 639-2/3 codes, the individual language behind a macrolanguage, old codes.
_TABLE = """
ace Acehnese
af Afrikaans afr
ak Akan aka
am Amharic amh
ang Old_English
ar Arabic ara arb
arq Algerian_Arabic
ary Moroccan_Arabic
arz Egyptian_Arabic
ast Asturian
awa Awadhi
ay Aymara aym ayr
az Azerbaijani aze azj
ba Bashkir bak
ban Balinese
bbj Ghomala
be Belarusian bel
bem Bemba
ber Berber
bg Bulgarian bul
bho Bhojpuri
bjn Banjar
bm Bambara bam
bn Bengali ben
bo Tibetan bod
br Breton bre
bs Bosnian bos
bug Buginese
ca Catalan cat
cbk Chavacano
ceb Cebuano
ch Chamorro cha
ckb Central_Kurdish
cs Czech ces cze
csb Kashubian
cy Welsh cym wel
da Danish dan
de German deu ger
din Dinka
dsb Lower_Sorbian
dtp Kadazan_Dusun
dv Divehi div
dyu Dyula
dz Dzongkha dzo
ee Ewe ewe
efi Efik
el Greek ell gre
en English eng
eo Esperanto epo
es Spanish spa
et Estonian est ekk
eu Basque eus baq
fa Persian fas per pes
ff Fulah ful fuv
fi Finnish fin
fil Filipino
fj Fijian fij
fo Faroese fao
fon Fon
fr French fra fre
fuc Pulaar
fur Friulian
fy Western_Frisian fry
ga Irish gle
gaa Ga
gd Scottish_Gaelic gla
gl Galician glg
gn Guarani grn
gsw Swiss_German
gu Gujarati guj
ha Hausa hau
he Hebrew heb iw
hi Hindi hin
hmn Hmong
hr Croatian hrv
hsb Upper_Sorbian
ht Haitian hat
hu Hungarian hun
hy Armenian hye arm
ia Interlingua ina
id Indonesian ind
ie Interlingue ile
ig Igbo ibo
ilo Ilocano
io Ido ido
is Icelandic isl ice
it Italian ita
ja Japanese jpn
jv Javanese jav
ka Georgian kat geo
kab Kabyle
kam Kamba
kbp Kabiye
kea Kabuverdianu
kg Kongo kon
ki Kikuyu kik
kk Kazakh kaz
km Khmer khm
kmb Kimbundu
kn Kannada kan
ko Korean kor
ks Kashmiri kas
ku Kurdish kur kmr
kw Cornish cor
ky Kyrgyz kir
kzj Coastal_Kadazan
la Latin lat
lb Luxembourgish ltz
lfn Lingua_Franca_Nova
lg Ganda lug
lij Ligurian
lmo Lombard
ln Lingala lin
lo Lao lao
lt Lithuanian lit
ltg Latgalian
lua Luba-Kasai
luo Luo
lv Latvian lav lvs
mai Maithili
max North_Moluccan_Malay
mey Hassaniyya
mg Malagasy mlg plt
mhr Eastern_Mari
mi Maori mri mao
min Minangkabau
mk Macedonian mkd mac
ml Malayalam mal
mn Mongolian mon khk
mni Manipuri
mos Mossi
mr Marathi mar
ms Malay msa may zsm
mt Maltese mlt
mul Multiple_languages
my Burmese mya bur
nb Norwegian_Bokmal nob
nd North_Ndebele nde
nds Low_German
ne Nepali nep npi
nl Dutch nld dut
nn Norwegian_Nynorsk nno
no Norwegian nor
nov Novial
nr South_Ndebele nbl
nso Northern_Sotho
nus Nuer
ny Chichewa nya
oc Occitan oci
om Oromo orm gaz
or Odia ori ory
orv Old_Russian
pa Punjabi pan
pam Pampanga
pcm Nigerian_Pidgin
pl Polish pol
pms Piedmontese
prs Dari
ps Pashto pus pbt
pt Portuguese por
qu Quechua que quy
rn Rundi run
ro Romanian ron rum
ru Russian rus
rw Kinyarwanda kin
sa Sanskrit san
sat Santali
sc Sardinian srd
scn Sicilian
sd Sindhi snd
sg Sango sag
shi Shilha
si Sinhala sin
sid Sidamo
sk Slovak slk slo
sl Slovenian slv
sm Samoan smo
sn Shona sna
so Somali som
sq Albanian sqi alb als
sr Serbian srp
ss Swati ssw
st Southern_Sotho sot
su Sundanese sun
sv Swedish swe
sw Swahili swa swh
swg Swabian
szl Silesian
ta Tamil tam
te Telugu tel
tg Tajik tgk
th Thai tha
ti Tigrinya tir
tig Tigre
tk Turkmen tuk
tl Tagalog tgl
tn Tswana tsn
to Tongan ton
tr Turkish tur
ts Tsonga tso
tt Tatar tat
tum Tumbuka
tw Twi twi
ty Tahitian tah
tzl Talossan
ug Uyghur uig
uk Ukrainian ukr
umb Umbundu
ur Urdu urd
uz Uzbek uzb uzn
ve Venda ven
vec Venetian
vi Vietnamese vie
wal Wolaytta
war Waray
wo Wolof wol
wuu Wu_Chinese
xh Xhosa xho
yi Yiddish yid ydd
yo Yoruba yor
yue Cantonese
zh Chinese zho chi cmn
zu Zulu zul
"""
_ROWS = [line.split() for line in _TABLE.strip().splitlines()]
_NAMES = {code: name.replace("_", " ") for code, name, *_ in _ROWS}
_SPELLINGS = {code: (code, *others) for code, _, *others in _ROWS}
_BY_NAME = {name.lower(): code for code, name in _NAMES.items()}
_CODES = {spelling: code for code, spellings in _SPELLINGS.items() for spelling in spellings}

# Filipino is the standardised form of Tagalog; data sets use the two codes for the same text.
_INTERCHANGEABLE = frozenset({"fil", "tl"})


def language(code: str) -> str:
    """The BCP-47 primary code of `code`: `swa`, `swh`, `SW` and `sw-KE` are all `sw`.

    Case is ignored; region, script and variant subtags (after `-` or `_`) are dropped. `fil` and
    `tl` stay distinct (see `same_language`). Raises UsageError for a code that is not in the table.
    """
    primary = _primary(code)
    if primary in _CODES:
        return _CODES[primary]
    if known := _BY_NAME.get(code.strip().lower()):
        raise UsageError(f"unknown language {code!r}; {_NAMES[known]} is {known!r}")
    raise unknown("language", code, sorted(_NAMES))


_SHAPE = re.compile("[a-z]{2,3}")
# Language, script, region, variants (RFC 5646).
_TAG = re.compile(
    r"[A-Za-z]{2,3}([-_][A-Za-z]{4})?([-_]([A-Za-z]{2}|\d{3}))?(-(x(-\w{1,8})+|[A-Za-z0-9]{5,8}|\d[A-Za-z0-9]{3}))*"
)
_TAGGED = re.compile("[-_]")


def known_tag(value: object) -> str:
    """The code of a language that a data set names by a code or in English, "" for anything else."""
    try:
        return _BY_NAME.get(str(value).strip().lower()) or language_tag(value, "")
    except ClirError:
        return ""


def language_tag(value: object, what: str) -> str:
    """The language of a text as a data set gives it: "" for none, otherwise as `language` has it.

    Of a code that is not in the table the primary subtag stays. Raises ClirError, beginning with `what`,
    for what is no code at all.
    """
    if not isinstance(value, str):
        raise ClirError(f"{what} is not a code: {str(value)[:40]}")
    primary = _primary(value)
    if primary and primary not in _CODES and not _SHAPE.fullmatch(primary):
        raise ClirError(f"{what} is not a code: {value[:40]!r}")
    return _CODES.get(primary, primary)


def named(value: str) -> str:
    """The code of the language with this English name, whatever its case; "" if there is none."""
    return _BY_NAME.get(" ".join(value.strip().lower().replace("_", " ").split()), "")


def is_code(value: str) -> bool:
    """Whether `value` is a code of a language that is known here, alone or with a script, region or variant."""
    return _primary(value) in _CODES and _TAG.fullmatch(value.strip()) is not None


def _primary(code: str) -> str:
    return code.strip().lower().replace("_", "-").partition("-")[0]


def language_name(code: str) -> str:
    """The English name of a language: `sw` is "Swahili"."""
    return _NAMES[language(code)]


def spellings(code: str) -> tuple[str, ...]:
    """Every code under which data sets keep a language, the BCP-47 one first: `("sw", "swa", "swh")`."""
    return _SPELLINGS[language(code)]


def same_language(one: str, other: str) -> bool:
    """Whether two codes mean one language here; Filipino and Tagalog count as one."""
    first, second = language(one), language(other)
    return first == second or {first, second} == _INTERCHANGEABLE


def matching(code: str, known: tuple[str, ...] | list[str]) -> str | None:
    """The member of `known` that is the language `code`, or None; `tl` finds `fil` where only that is there."""
    exact = [one for one in known if language(one) == language(code)]
    alike = exact or [one for one in known if same_language(one, code)]
    return alike[0] if alike else None


def code_for(code: str, written: Iterable[str]) -> str | None:
    """Which of some codes, as a data set writes them, means the language `code`, or None.

    Its own code comes before Tagalog's for Filipino, a plain one before one with a region, and three letters before
    two: beside `ind`, an `id` is no Indonesian. Codes that are not known, and what is none, are passed over.
    """
    wanted = language(code)
    meant = {one: _CODES.get(_primary(one)) for one in written if _TAG.fullmatch(one.strip())}
    fitting = [one for one, known in meant.items() if known is not None and same_language(known, wanted)]
    return min(
        fitting, key=lambda one: (meant[one] != wanted, _TAGGED.search(one) is not None, -len(one)), default=None
    )
