"""What a generated file says about itself: that a model made it, which one, and from what.

Three labels are written into the metadata: the IPTC digital source type `trainedAlgorithmicMedia` (in XMP), the
fields of China's GB 45438-2025 (in XMP, and in a PNG text chunk `AIGC`), and genzoo's own facts. None holds a path
or a person's name. A file that has no room for them has them in a JSON file beside it, with its SHA-256.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from html import escape
from pathlib import Path

from genzoo.interface.errors import UsageError
from genzoo.interface.parsing import parse_json
from genzoo.interface.specs import Json

Facts = Mapping[str, object]
"""What a file says of what it holds, as JSON: `RunFolder.provenance` makes it."""
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
TC260 = "http://www.tc260.org.cn/ns/AIGC/1.0/"
OWN = "urn:genzoo:provenance:1.0#"
XMP_CHUNK = "XML:com.adobe.xmp"  # of a PNG file

XMP = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="{iptc}" xmlns:TC260="{tc260}" xmlns:genzoo="{own}">
<Iptc4xmpExt:DigitalSourceType>{source}</Iptc4xmpExt:DigitalSourceType>
<TC260:AIGC>{aigc}</TC260:AIGC>
<genzoo:Provenance>{facts}</genzoo:Provenance>
</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>"""


def aigc(facts: Facts) -> dict[str, str]:
    """The fields of GB 45438-2025: generated (Label 1), by what, under which number; nothing of who passed it on."""
    number = "-".join(str(facts[key]) for key in ("run", "step", "operation", "seed", "sample") if key in facts)
    return {
        "Label": "1",
        "ContentProducer": f"genzoo {facts['version']}",
        "ProduceID": number,
        "ReservedCode1": "",
        "ContentPropagator": "",
        "PropagateID": "",
        "ReservedCode2": "",
    }


def xmp(facts: Facts) -> bytes:
    """The XMP packet of a file with these facts."""
    label, facts_text = (escape(json.dumps(part, ensure_ascii=False), quote=False) for part in (aigc(facts), facts))
    return XMP.format(iptc=IPTC, tc260=TC260, own=OWN, source=SOURCE_TYPE, aigc=label, facts=facts_text).encode(
        "utf-8", "backslashreplace"
    )


def read_xmp(packet: bytes) -> Json:
    """The inverse of `xmp`: the keys of `labels` that a packet has."""
    from xml.etree import ElementTree  # which takes as long to import as all of this file

    if not packet or b"<!DOCTYPE" in packet or b"<!ENTITY" in packet:
        return {}
    try:
        root = ElementTree.fromstring(packet.decode("utf-8", "replace").lstrip("\ufeff"))
    except ElementTree.ParseError:
        return {}
    names = {
        f"{{{IPTC}}}DigitalSourceType": "digital_source_type",
        f"{{{TC260}}}AIGC": "aigc",
        f"{{{OWN}}}Provenance": "genzoo",
    }
    labels = {}
    for element in root.iter():
        values = {element.tag: element.text, **element.attrib}
        for tag, text in values.items():
            if tag in names and text:
                labels[names[tag]] = text if tag.endswith("DigitalSourceType") else parse_json(text)
    return labels


def labels(facts: Facts) -> Json:
    """All three labels in one object, for files that hold JSON; also what `genzoo provenance` reads."""
    return {"digital_source_type": SOURCE_TYPE, "aigc": aigc(facts), "genzoo": dict(facts)}


def sidecar(path: Path) -> Path:
    """The file beside `path` that holds the labels of a file that has no room for them."""
    return path.with_name(f"{path.name}.json")


def read_sidecar(path: Path) -> Json:
    """The labels beside a file; none if there is no such file. Raises `UsageError` if the file is no longer the one
    that they are of, and `ValueError` or `OSError` where they cannot be read."""
    if not sidecar(path).is_file():
        return {}
    labels = dict(parse_json(sidecar(path).read_text("utf-8")))
    if hashlib.sha256(path.read_bytes()).hexdigest() != (labels.get("genzoo") or {}).get("sha256"):
        raise UsageError(f"{path} is not the file that {sidecar(path).name} is of: it was changed")
    return labels
