"""What a generated file says about itself: that a model made it, which one, and from what.

Three labels are written into the metadata: the IPTC digital source type `trainedAlgorithmicMedia` (in XMP), the
fields of China's GB 45438-2025 (in XMP, and in a PNG text chunk `AIGC`), and genzoo's own facts. None holds a path
or a person's name. A text has them in a JSON file beside it, with its SHA-256.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from genzoo import __version__
from genzoo.errors import UsageError

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
TC260 = "http://www.tc260.org.cn/ns/AIGC/1.0/"
OWN = "urn:genzoo:provenance:1.0#"
XMP_CHUNK = "XML:com.adobe.xmp"

XMP = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="{iptc}" xmlns:TC260="{tc260}" xmlns:genzoo="{own}">
<Iptc4xmpExt:DigitalSourceType>{source}</Iptc4xmpExt:DigitalSourceType>
<TC260:AIGC>{aigc}</TC260:AIGC>
<genzoo:Provenance>{facts}</genzoo:Provenance>
</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>"""


def facts(model: str, run: str, seed: int, **more: Any) -> dict[str, Any]:
    """genzoo's own facts of a generated file; `more` may say the step, the operation, the sample's number."""
    return {"generator": "genzoo", "version": __version__, "model": model, "run": run, "seed": seed, **more}


def aigc(own: dict[str, Any]) -> dict[str, str]:
    """The fields of GB 45438-2025: generated (Label 1), by what, under which number; nothing of who passed it on."""
    number = "-".join(str(own[key]) for key in ("run", "step", "operation", "seed", "sample") if key in own)
    return {
        "Label": "1",
        "ContentProducer": f"genzoo {own['version']}",
        "ProduceID": number,
        "ReservedCode1": "",
        "ContentPropagator": "",
        "PropagateID": "",
        "ReservedCode2": "",
    }


def xmp(own: dict[str, Any]) -> bytes:
    """The XMP packet of a file with these facts."""
    return XMP.format(
        iptc=IPTC, tc260=TC260, own=OWN, source=SOURCE_TYPE,
        aigc=escape(json.dumps(aigc(own), ensure_ascii=False)), facts=escape(json.dumps(own, ensure_ascii=False)),
    ).encode()  # fmt: skip


def labels(own: dict[str, Any]) -> dict[str, Any]:
    """All three labels in one object, for files that hold JSON; also what `read` gives."""
    return {"digital_source_type": SOURCE_TYPE, "aigc": aigc(own), "genzoo": own}


def beside(path: Path) -> Path:
    """The file that holds the labels of a text."""
    return path.with_name(f"{path.name}.json")


def read(path: str | Path) -> dict[str, Any]:
    """The labels of a `.png`, `.jpeg`, `.npz` or `.txt` file: the keys of `labels`, each None where the file does not
    have it.

    Raises `UsageError` if the file cannot be read, or if a text is no longer the one that its labels are of.
    """
    path = Path(path)
    if not path.is_file():
        raise UsageError(f"{path} is not a file")
    try:
        found = {".npz": _read_npz, ".txt": _read_text}.get(path.suffix, _read_image)(path)
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, SyntaxError) as error:
        raise UsageError(f"{path} cannot be read: {error}; allowed are .png, .jpeg, .npz and .txt files") from None
    return {"digital_source_type": None, "aigc": None, "genzoo": None} | found


def _read_npz(path: Path) -> dict[str, Any]:
    import numpy as np

    with np.load(path, allow_pickle=False) as archive:
        return dict(json.loads(str(archive["provenance"]))) if "provenance" in archive.files else {}


def _read_text(path: Path) -> dict[str, Any]:
    if not beside(path).is_file():
        return {}
    found = dict(json.loads(beside(path).read_text("utf-8")))
    if hashlib.sha256(path.read_bytes()).hexdigest() != (found.get("genzoo") or {}).get("sha256"):
        raise UsageError(f"{path} is not the text that {beside(path).name} is of: it was changed")
    return found


def _read_image(path: Path) -> dict[str, Any]:
    from PIL import Image

    with Image.open(path) as picture:
        picture.load()  # text chunks may stand behind the pixels
        info = dict(picture.info)
    packet = info.get("xmp") or info.get(XMP_CHUNK) or b""
    found = _read_xmp(packet if isinstance(packet, bytes) else packet.encode())
    for chunk, key in (("AIGC", "aigc"), ("genzoo", "genzoo")):
        if isinstance(info.get(chunk), str):
            found[key] = json.loads(info[chunk])
    return found


def _read_xmp(packet: bytes) -> dict[str, Any]:
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
    found = {}
    for element in root.iter():
        values = {element.tag: element.text, **element.attrib}
        for tag, text in values.items():
            if tag in names and text:
                found[names[tag]] = text if tag.endswith("DigitalSourceType") else json.loads(text)
    return found
