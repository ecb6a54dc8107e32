"""For GPUs smaller than the model: the transformer's blocks wait in CPU memory, each comes to the GPU while it runs.

Only the weights of the linear layers wait outside, which are all but a thousandth of a block. While a block computes,
the next one's weights are copied on a stream of their own, so that about two blocks are on the GPU at a time.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from ltx2.checkpoint import Modules
from ltx2.fp8 import Fp8Linear

Copy = Callable[[Tensor], Tensor]


def offload_blocks(modules: Modules, device: torch.device | str) -> "BlockOffload":
    """Move modules that are on the CPU to a device, all but the linear layers of the transformer's blocks.

    The layers that stay are copied to page-locked memory if the device is a GPU; without it nothing can be copied
    while the GPU computes.
    """
    device = torch.device(device)
    blocks = list(modules.transformer.transformer_blocks)
    waiting = _waiting(blocks)
    for module in modules.named().values():
        for tensor in (*module.parameters(), *module.buffers()):
            if id(tensor) not in waiting:
                tensor.data = tensor.data.to(device)
            elif device.type == "cuda":
                tensor.data = tensor.data.pin_memory()
    return BlockOffload(blocks, device)


def offload_layers(blocks: list[nn.Module], module: nn.Module, device: torch.device) -> "BlockOffload":
    """Move a module that is on the CPU to a device, all but the linear layers of its blocks.

    Their memory is not page-locked, which would take longer than the few passes that a text needs.
    """
    waiting = _waiting(blocks)
    for tensor in (*module.parameters(), *module.buffers()):
        if id(tensor) not in waiting:
            tensor.data = tensor.data.to(device)
    return BlockOffload(blocks, device)


class BlockOffload:
    """Hooks that bring weights to a device for as long as they are needed.

    A block's layers come together when the block is called. A layer that is called by itself (the keys and values of
    the text are computed before the blocks run) comes alone. Weights that change on the CPU between calls, as when a
    LoRA is fused, are seen by the next call.

    Args:
        blocks: In the order in which they are called; their linear layers are on the CPU, all else on the device.
        device: Where they compute.
        copy: Copies one tensor there; None for a copy that does not wait.
    """

    def __init__(self, blocks: list[nn.Module], device: torch.device, *, copy: Copy | None = None) -> None:
        self._copy = copy or partial(_copied, device=device)
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._weights = [[weight for layer in _linears(block) for weight in layer.parameters()] for block in blocks]
        self._home: dict[nn.Parameter, Tensor] = {}
        """Where the weights that are on the device now have their place in CPU memory."""
        self._ahead: tuple[int, list[Tensor]] | None = None
        """Index and copies of the block that comes next."""
        self._done: torch.cuda.Event | None = None
        """When the block before the last one called is finished."""
        self._hooks = []
        for index, block in enumerate(blocks):
            self._hooks.append(block.register_forward_pre_hook(partial(self._enter_block, index)))
            self._hooks.append(block.register_forward_hook(partial(self._leave_block, index), always_call=True))
            for layer in _linears(block):
                self._hooks.append(layer.register_forward_pre_hook(self._enter_layer))

    def remove(self) -> None:
        """Take the hooks off; the weights stay on the CPU."""
        for hook in self._hooks:
            hook.remove()
        self._ahead = None

    def _enter_block(self, index: int, block: nn.Module, args: object) -> None:
        copies = self._ahead[1] if self._ahead and self._ahead[0] == index else self._fetch(index)
        self._ahead = None
        if self._stream is not None:
            torch.cuda.current_stream(self._stream.device).wait_stream(self._stream)
        self._place(self._weights[index], copies)

    def _leave_block(self, index: int, block: nn.Module, args: object, output: object) -> None:
        """Send the weights home, then fetch the next block's while the GPU still works on this one."""
        self._send_home(self._weights[index])
        if self._stream is not None:
            # else the processor would run ahead and allocate one block after the other
            if self._done is not None:
                self._done.synchronize()
            self._done = torch.cuda.current_stream(self._stream.device).record_event()
        if index + 1 < len(self._weights):
            self._ahead = (index + 1, self._fetch(index + 1))

    def _enter_layer(self, layer: nn.Module, args: object) -> None:
        weights = list(layer.parameters())
        if weights[0] in self._home:
            return
        self._place(weights, [self._copy(weight.data) for weight in weights])

        def leave(*_: object) -> None:
            hook.remove()
            self._send_home(weights)

        hook = layer.register_forward_hook(leave, always_call=True)

    def _fetch(self, index: int) -> list[Tensor]:
        with torch.cuda.stream(self._stream):  # does nothing where there is no stream
            return [self._copy(weight.data) for weight in self._weights[index]]

    def _place(self, weights: list[nn.Parameter], copies: list[Tensor]) -> None:
        for weight, copy in zip(weights, copies, strict=True):
            self._home[weight] = weight.data
            weight.data = copy
            if self._stream is not None:
                copy.record_stream(torch.cuda.current_stream(self._stream.device))

    def _send_home(self, weights: list[nn.Parameter]) -> None:
        for weight in weights:
            if weight in self._home:
                weight.data = self._home.pop(weight)


def _waiting(blocks: list[nn.Module]) -> set[int]:
    return {id(tensor) for block in blocks for layer in _linears(block) for tensor in layer.parameters()}


def _linears(block: nn.Module) -> list[nn.Module]:
    return [layer for layer in block.modules() if isinstance(layer, nn.Linear | Fp8Linear)]


def _copied(tensor: Tensor, device: torch.device) -> Tensor:
    return tensor.to(device, non_blocking=True)
