"""Networks (diffusers' ModelMixin and ConfigMixin), and where their weights come from."""
