"""A folder that `--from` names runs nothing, whatever it says of itself."""

import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

pytest.importorskip("transformers")
TOKENIZER = {
    "version": "1.0", "pre_tokenizer": {"type": "Whitespace"},
    "model": {"type": "WordLevel", "vocab": {"a": 0, "b": 1, "[UNK]": 2}, "unk_token": "[UNK]"},
}  # fmt: skip
SMALL = {
    "vocab_size": 3, "n_embd": 8, "n_head": 2, "n_layer": 1, "n_positions": 8, "hidden_size": 8,
    "num_attention_heads": 2, "num_hidden_layers": 1, "intermediate_size": 8, "max_position_embeddings": 8,
}  # fmt: skip
CODE = {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model", "AutoTokenizer": "evil.Tokenizer"}


class Trap:
    """Leaves a mark where it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "evil", "auto_map": CODE}, "model_type 'evil', which transformers does not know"),
        ({"model_type": "evil/repository--evil"}, "which transformers does not know"),
        ({"model_type": "gpt2", "auto_map": CODE}, "lack"),
        ({"model_type": "gpt2", "attn_implementation": "evil/kernel", "_attn_implementation": "evil/k"}, "lack"),
        ({"model_type": "gpt_neox", "auto_map": CODE, "_attn_implementation": "evil/kernel"}, "lack"),
        ({"model_type": "gpt_neox", "quantization_config": {"quant_method": "gptq"}}, "quantised"),
    ],
    ids=lambda value: value if isinstance(value, str) else value["model_type"].partition("/")[0],
)
@pytest.mark.parametrize("weights", ["safetensors", "pickle", "renamed pickle"])
def test_a_folder_runs_nothing_and_is_one_line(genzoo_command, monkeypatch, tmp_path, config, message, weights):
    folder, mark = tmp_path / "folder", tmp_path / "mark"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(SMALL | config), "utf-8")
    (folder / "tokenizer.json").write_text(json.dumps(TOKENIZER), "utf-8")
    (folder / "evil.py").write_text(f"import pathlib; pathlib.Path({str(mark)!r}).touch()", "utf-8")
    trap = folder / ("model.safetensors" if weights == "renamed pickle" else "pytorch_model.bin")
    trap.write_bytes(pickle.dumps(Trap(mark)))
    if weights == "safetensors":
        save_file({"x": torch.zeros(1)}, folder / "model.safetensors")
    (tmp_path / "data.txt").write_text("a b b a " * 200, "utf-8")
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("it asked"))
    arguments = ("--from", folder, "--data", tmp_path / "data.txt", "--steps", 1, "--device", "cpu")
    outcome = genzoo_command("train", "transformer", *arguments)
    (line,) = [line for line in outcome.err.splitlines() if line.startswith("genzoo: ")]
    assert outcome.status in (1, 2)
    assert "Traceback" not in outcome.err
    assert {"pickle": "no other weights are read", "renamed pickle": "cannot be read"}.get(weights, message) in line
    assert not mark.exists()
    pickle.loads(trap.read_bytes())  # the trap is one
    assert mark.exists()
