"""espeak-ng, as far as it is needed: a word spoken by a voice. See speak_lib.h of espeak-ng."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import espeakng_loader
import numpy as np
import numpy.typing as npt

SAMPLE_RATE = 22050  # of espeak-ng's own voices
SYNCHRONOUS, DO_NOT_EXIT = 2, 0x8000  # the kind of output; what to do where its files cannot be read
RATE, PITCH = 1, 3  # its parameters
BY_CHARACTER, UTF8 = 1, 1

Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


@cache
def _library() -> Any:
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    rate = library.espeak_Initialize(SYNCHRONOUS, 0, str(espeakng_loader.get_data_path()).encode(), DO_NOT_EXIT)
    if rate != SAMPLE_RATE:
        raise OSError(f"espeak-ng cannot be begun: it gave {rate}")
    return library


def speak(text: str, voice: str, *, words_per_minute: int, pitch: int) -> npt.NDArray[np.float32]:
    """A text as espeak-ng says it: mono, in [-1, 1], 22,050 samples a second. Not the same each time: some voices have
    breath and tremor in them.

    Args:
        voice: a language and a variant, such as "gmw/en-US+f2".
        pitch: 0 to 99, 50 as the voice has it.

    Raises `OSError` if it has no such voice.
    """
    library, parts = _library(), []

    def keep(samples: Any, count: int, _events: Any) -> int:
        if samples and count:
            parts.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    callback = Callback(keep)  # must outlive the call
    library.espeak_SetSynthCallback(callback)
    if library.espeak_SetVoiceByName(voice.encode()):
        raise OSError(f"espeak-ng has no voice {voice!r}")
    library.espeak_SetParameter(RATE, words_per_minute, 0)
    library.espeak_SetParameter(PITCH, pitch, 0)
    content = text.encode() + b"\0"
    library.espeak_Synth(content, len(content), 0, BY_CHARACTER, 0, UTF8, None, None)
    library.espeak_Synchronize()
    return np.concatenate(parts).astype(np.float32) / np.float32(2**15)
