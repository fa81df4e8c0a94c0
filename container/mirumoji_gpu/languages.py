"""Language tags as files have them: ISO 639-1 and 639-2 (both kinds), with or without a region."""

from __future__ import annotations

import re

# Two-letter codes with their three-letter ones (ISO 639-2/T, /B, and the individual languages of macrolanguages).
_LONG = (
    "af:afr am:amh ar:ara,arb as:asm az:aze ba:bak be:bel bg:bul bn:ben bo:bod,tib br:bre bs:bos ca:cat cs:ces,cze "
    "cy:cym,wel da:dan de:deu,ger el:ell,gre en:eng es:spa et:est,ekk eu:eus,baq fa:fas,per,pes fi:fin fo:fao "
    "fr:fra,fre gl:glg gu:guj ha:hau he:heb hi:hin hr:hrv,scr ht:hat hu:hun hy:hye,arm id:ind is:isl,ice it:ita "
    "ja:jpn jv:jav,jw ka:kat,geo kk:kaz km:khm kn:kan ko:kor la:lat lb:ltz ln:lin lo:lao lt:lit lv:lav,lvs mg:mlg,plt "
    "mi:mri,mao mk:mkd,mac ml:mal mn:mon,khk mr:mar ms:msa,may,zsm mt:mlt my:mya,bur ne:nep,npi nl:nld,dut nn:nno "
    "no:nor,nb,nob oc:oci pa:pan pl:pol ps:pus pt:por ro:ron,rum,mo,mol ru:rus sa:san sd:snd si:sin sk:slk,slo sl:slv "
    "sn:sna so:som sq:sqi,alb,als sr:srp,scc su:sun sv:swe sw:swa,swh ta:tam te:tel tg:tgk th:tha tk:tuk tl:tgl,fil "
    "tr:tur tt:tat uk:ukr ur:urd uz:uzb vi:vie yi:yid yo:yor zh:zho,chi,cmn"
)
_SHORT = {
    long: short for short, _, longs in (entry.partition(":") for entry in _LONG.split()) for long in longs.split(",")
}


_THREE_LETTERS = {short: longs.split(",")[0] for short, _, longs in (entry.partition(":") for entry in _LONG.split())}


def language_of(tag: str | None) -> str | None:
    """
    One name for every spelling of a language: `jpn`, `ja` and `ja-JP` are `ja`; None where nothing is said.

    The first where there are several.
    """
    code = re.split("[-_,;]", tag or "")[0].strip().lower()
    return None if code in ("", "und", "mis", "mul", "zxx") else _SHORT.get(code, code)


def mp4_language(tag: str | None) -> str:
    """The code that MP4 has room for: three letters of ISO 639-2/T; `und` where nothing is said."""
    code = language_of(tag) or "und"
    code = _THREE_LETTERS.get(code, code)
    return code if len(code) == 3 and code.isascii() and code.isalpha() else "und"
