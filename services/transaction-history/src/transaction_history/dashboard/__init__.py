"""A tenant at a glance: figures that workers keep at hand while somebody asks for them."""
