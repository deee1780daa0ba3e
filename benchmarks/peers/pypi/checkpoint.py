"""Checks a 4-bit folder, of nullm_quantize's or of bitsandbytes' own: transformers loads it with bitsandbytes, nullm
loads it, and every matrix decodes to the same bits in bitsandbytes, in nullm, and by the format's definition (the
codebook value times the scale that the file holds).

    python3 benchmarks/peers/pypi/checkpoint.py FOLDER [--logits TEXT]
    python3 benchmarks/peers/pypi/checkpoint.py --write FOLDER --from PLAIN

The second form has bitsandbytes quantise a plain Hugging Face folder (nested scales) and save it, for the first to
check. Installs the peers of requirements.txt into build/peers on its first run, and transformers beside them; nullm's
side needs nlohmann/json's header.
"""

import argparse
import json
import pathlib
import subprocess
import sys

import peers


def decoded(tensors, name, torch):
    """The weight's floats by the format's definition, in numpy's and torch's plain operations."""
    def part(suffix):
        return tensors[f"{name}.{suffix}"]

    state = json.loads(bytes(part("quant_state.bitsandbytes__nf4").tolist()))
    packed = tensors[name].reshape(-1)
    codes = torch.stack([packed >> 4, packed & 15], dim=1).reshape(-1).long()
    scales = part("absmax")
    if "nested_offset" in state:
        nested = part("nested_absmax").repeat_interleave(state["nested_blocksize"])[: scales.numel()]
        product = part("nested_quant_map")[scales.long()] * nested
        scales = product + torch.tensor(state["nested_offset"], dtype=torch.float32)
    each = scales.repeat_interleave(state["blocksize"])[: codes.numel()]
    return (part("quant_map")[codes] * each).reshape(state["shape"]), bool("nested_offset" in state)


def same_bits(a, b, torch):
    return a.dtype == b.dtype == torch.float32 and torch.equal(a.view(torch.int32), b.view(torch.int32))


def check(folder, text, environment):
    import torch
    import transformers
    from bitsandbytes import functional
    from safetensors.torch import load_file

    torch.set_grad_enabled(False)
    tensors = load_file(folder / "model.safetensors")
    nullm = peers.nullm_decoder(environment)
    ours = nullm.nullm_open(str(folder).encode())
    if not ours:
        sys.exit(f"{folder}: nullm does not load it")
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, device_map="cpu")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    matrices = elements = 0
    nested = False
    for name, module in model.named_modules():
        state = getattr(getattr(module, "weight", None), "quant_state", None)
        if state is None:
            continue
        expected, is_nested = decoded(tensors, f"{name}.weight", torch)
        found = functional.dequantize_4bit(module.weight.data, state)
        if not same_bits(found, expected, torch):
            sys.exit(f"{name}: bitsandbytes dequantises to other bits")
        read = torch.empty_like(expected)
        if not nullm.nullm_decode(ours, name.encode(), read.data_ptr(), read.numel()):
            sys.exit(f"{name}: no NF4 matrix of {read.numel()} weights to nullm")
        if not same_bits(read, expected, torch):
            sys.exit(f"{name}: nullm decodes to other bits")
        matrices += 1
        elements += expected.numel()
        nested = nested or is_nested
    nullm.nullm_close(ours)
    stored = sum(name.endswith(".quant_state.bitsandbytes__nf4") for name in tensors)
    if matrices == 0 or matrices != stored:
        sys.exit(f"{folder}: bitsandbytes has {matrices} of {stored} matrices in 4 bits")
    wanted = json.loads((folder / "config.json").read_text())
    for name in ["bos_token_id", "eos_token_id"]:
        if name in wanted and getattr(tokenizer, name) != wanted[name]:
            sys.exit(f"{name}: config.json says {wanted[name]}, the tokenizer {getattr(tokenizer, name)}")
    report = {"matrices": matrices, "weights": elements, "nested": nested, "bit_equal": True}
    if text:
        for parameter in model.parameters():  # what bitsandbytes leaves alone keeps the file's float16
            if parameter.dtype == torch.float16:
                parameter.data = parameter.data.float()
        ids = tokenizer(text, return_tensors="pt").input_ids
        report["ids"] = ids[0].tolist()
        report["next"] = int(model(ids).logits[0, -1].argmax())
    print(json.dumps(report))


def write(folder, plain):
    import torch
    import transformers

    how = transformers.BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4",
                                          bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=torch.float32)
    model = transformers.AutoModelForCausalLM.from_pretrained(plain, quantization_config=how, device_map="cpu",
                                                              dtype=torch.float32)
    model.save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(plain).save_pretrained(folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=pathlib.Path)
    parser.add_argument("--logits", metavar="TEXT", help="also print the ids of a text and the token that follows")
    parser.add_argument("--write", type=pathlib.Path, metavar="FOLDER")
    parser.add_argument("--from", dest="plain", type=pathlib.Path, metavar="PLAIN")
    parser.add_argument("--environment", type=pathlib.Path, default=peers.REPOSITORY / "build" / "peers")
    chosen = parser.parse_args()
    if bool(chosen.folder) == bool(chosen.write) or bool(chosen.write) != bool(chosen.plain):
        parser.error("a folder to check, or --write and --from")
    peers.enter(chosen.environment)
    try:
        import transformers  # noqa: F401
    except ImportError:
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "transformers", "accelerate"], check=True,
                       stdout=sys.stderr)
    if chosen.folder:
        check(chosen.folder, chosen.logits, chosen.environment)
    else:
        write(chosen.write, chosen.plain)


if __name__ == "__main__":
    main()
