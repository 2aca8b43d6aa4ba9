"""The mixin that gives a Keras layer a structured kernel."""

from typing import TYPE_CHECKING, Any

import keras

from tf_symconv.layers._signature import with_stock_signature
from tf_symconv.modules._structured import Structured

_KerasLayer = keras.layers.Layer if TYPE_CHECKING else object


_NO_LORA = (
    "LoRA adds a low-rank update to a kernel that is stored in full; a structured layer stores fewer weights, so it "
    "cannot take lora_rank, lora_alpha or enable_lora."
)


class StructuredKernel(Structured, _KerasLayer):
    """Mixin: a structured kernel for a Keras convolution layer.

    Regularisers and constraints of the kernel act on the latent.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Give the class the signature of its Keras layer, followed by its own arguments as keywords."""
        super().__init_subclass__(**kwargs)
        with_stock_signature(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        lora = {name: kwargs[name] for name in ("lora_rank", "lora_alpha") if kwargs.get(name) is not None}
        if lora:
            raise ValueError(f"{_NO_LORA} Received: {lora}")
        super().__init__(*args, **kwargs)

    def add_weight(self, *args: Any, name: str | None = None, **kwargs: Any) -> keras.Variable:
        """Add a weight as Keras does; in place of the structured one its latent."""
        if name == self.structured_weight:
            # The kernel is expanded in the variable's own precision, and cast after that.
            kwargs["autocast"] = False
        return super().add_weight(*args, name=name, **kwargs)

    def enable_lora(self, *args: Any, **kwargs: Any) -> None:
        """Refuse: see the error."""
        raise ValueError(_NO_LORA)

    def save_own_variables(self, store: Any) -> None:
        """Save the variables as they are: the latent, not the kernel."""
        keras.layers.Layer.save_own_variables(self, store)

    def load_own_variables(self, store: Any) -> None:
        """Load what :meth:`save_own_variables` saved."""
        keras.layers.Layer.load_own_variables(self, store)
