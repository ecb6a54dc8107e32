"""Blocks that wait in CPU memory: the same bits, few blocks at a time, and nothing left behind."""

import weakref

import pytest
import torch

from ltx2.checkpoint import Modules
from ltx2.fp8 import Fp8Linear
from ltx2.nano import untrained_modules
from ltx2.offload import BlockOffload, _linears, offload_blocks
from ltx2.rope import audio_positions, video_positions
from ltx2.transformer import StreamInput
from ltx2.types import AudioLatentShape, VideoLatentShape

CPU = torch.device("cpu")


class Copies:
    """Copies as to another device, counting how many are alive."""

    def __init__(self) -> None:
        self.alive, self.most, self.made = 0, 0, 0

    def __call__(self, tensor: torch.Tensor) -> torch.Tensor:
        copy = tensor.clone()
        self.alive, self.made = self.alive + 1, self.made + 1
        self.most = max(self.most, self.alive)
        weakref.finalize(copy.untyped_storage(), self._gone)
        return copy

    def _gone(self) -> None:
        self.alive -= 1


@pytest.fixture
def modules() -> Modules:
    return untrained_modules(seed=6)


@torch.no_grad()
def velocities(modules: Modules) -> list[torch.Tensor]:
    """One call of the transformer, text keys and values included; small, so that products take one path."""
    transformer, config = modules.transformer, modules.config
    generator = torch.Generator().manual_seed(1)
    video = VideoLatentShape(1, 64, 1, 2, 2)
    audio = AudioLatentShape(1, 2, 3, 16)
    text = torch.randn(1, 4, config.text.hidden_size, generator=generator)
    tokens = [torch.randn(shape.token_shape, generator=generator) for shape in (video, audio)]
    ropes = (
        transformer.video_rope(video_positions(video, 24, "cpu")),
        transformer.audio_rope(audio_positions(audio, config.audio_vae, "cpu")),
    )
    contexts = (transformer.video_context(text), transformer.audio_context(text))
    inputs = (
        StreamInput(x, torch.full((1,), 0.5), rope, context)
        for x, rope, context in zip(tokens, ropes, contexts, strict=True)
    )
    return [x for x in transformer(*inputs) if x is not None]


def tensors_of(modules: Modules) -> list[int]:
    return [weight.data_ptr() for weight in modules.transformer.parameters()]


def test_the_same_bits_with_one_block_at_a_time(modules: Modules) -> None:
    expected, home = velocities(modules), tensors_of(modules)
    copies = Copies()
    blocks = list(modules.transformer.transformer_blocks)
    offload = BlockOffload(blocks, CPU, copy=copies)
    for _ in range(2):
        assert all(torch.equal(a, b) for a, b in zip(velocities(modules), expected, strict=True))
        assert tensors_of(modules) == home
        assert copies.alive == 0
    per_block = sum(len(list(layer.parameters())) for layer in _linears(blocks[0]))
    assert copies.most == per_block  # on a GPU the block before may still be at work, which makes two
    text_layers = 2 * 2 * 2  # keys and values, of both streams, weight and bias
    assert copies.made == 2 * len(blocks) * (per_block + text_layers)
    offload.remove()
    velocities(modules)
    assert copies.made == 2 * len(blocks) * (per_block + text_layers)


def test_the_copies_are_what_computes(modules: Modules) -> None:
    """Copies with other values give other results: nothing reads the weights at home."""
    expected = velocities(modules)
    BlockOffload(list(modules.transformer.transformer_blocks), CPU, copy=lambda tensor: tensor * 1.5)
    assert not any(torch.allclose(a, b) for a, b in zip(velocities(modules), expected, strict=True))


def test_weights_that_change_between_calls_are_seen(modules: Modules) -> None:
    offload_blocks(modules, CPU)
    before = velocities(modules)
    layer = modules.transformer.transformer_blocks[0].attn1.to_q
    layer.weight.data = layer.weight.data * 2
    changed = velocities(modules)
    assert not torch.equal(before[0], changed[0])
    layer.weight.data = layer.weight.data / 2
    assert torch.equal(velocities(modules)[0], before[0])


def test_eight_bit_layers(modules: Modules) -> None:
    for name, layer in modules.linears().items():
        if ".transformer_blocks." in name:
            modules.replace(name, Fp8Linear.quantize(layer.weight, layer.bias.data))
    expected = velocities(modules)
    copies = Copies()
    BlockOffload(list(modules.transformer.transformer_blocks), CPU, copy=copies)
    assert all(torch.equal(a, b) for a, b in zip(velocities(modules), expected, strict=True))
    assert copies.made


def test_an_error_in_a_block_leaves_the_weights_at_home(modules: Modules) -> None:
    expected, home = velocities(modules), tensors_of(modules)
    blocks = list(modules.transformer.transformer_blocks)
    BlockOffload(blocks, CPU, copy=torch.clone)

    def fail(*_: object) -> None:
        raise RuntimeError("out of memory")

    hook = blocks[3].ff.register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        velocities(modules)
    assert tensors_of(modules) == home
    hook.remove()
    assert all(torch.equal(a, b) for a, b in zip(velocities(modules), expected, strict=True))
