"""The sampler of AnimateLCM-SVD: a few clean estimates, each noised anew.

Wang et al. 2024, "AnimateLCM", arXiv 2402.00769.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from diffusers import EulerDiscreteScheduler
from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteSchedulerOutput
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from pipeline.values import InputError

LEVELS = 40  # noise levels that the network was distilled on, from sigma_max to sigma_min
RHO = 7.0  # of their spacing (Karras et al. 2022, arXiv 2206.00364, equation 5)


class ConsistencyScheduler(EulerDiscreteScheduler):
    """Multistep consistency sampling in the place of Euler's steps, with the same configuration.

    Of 40 levels every (40 // steps)-th is visited, the highest first. The network's clean estimate
    is noised to the next level with new noise; the last estimate is the result.
    """

    noisy = True  # averages of stepped windows would weaken the new noise where they overlap

    def set_timesteps(
        self, num_inference_steps: int, device: str | torch.device | None = None, **unused: Any
    ) -> None:
        """Choose the levels for 1 to 40 steps; raise InputError for others."""
        if not 1 <= num_inference_steps <= LEVELS:
            raise InputError(
                f"`steps` is {num_inference_steps}; give 1 to {LEVELS} for this model, 4 is usual"
            )
        high = self.config.sigma_max ** (1 / RHO)
        low = self.config.sigma_min ** (1 / RHO)
        stride = LEVELS // num_inference_steps
        ramp = np.arange(num_inference_steps) * stride / (LEVELS - 1)
        sigmas = (high + ramp * (low - high)) ** RHO
        super().set_timesteps(sigmas=[*sigmas.tolist(), 0.0], device=device)

    def step(
        self,
        model_output: Tensor,
        timestep: Tensor,
        sample: Tensor,
        generator: torch.Generator | None = None,
        **options: Any,
    ) -> EulerDiscreteSchedulerOutput:
        """Return the noised clean estimate, of the shape of `sample`, and the estimate itself."""
        step = super().step(model_output, timestep, sample, generator=generator)
        clean = step.pred_original_sample
        level = self.sigmas[self.step_index]
        sample = clean
        if level > 0:
            noise = randn_tensor(
                clean.shape, generator=generator, device=clean.device, dtype=clean.dtype
            )
            sample = clean + level * noise
        return EulerDiscreteSchedulerOutput(prev_sample=sample, pred_original_sample=clean)
