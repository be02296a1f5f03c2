"""From a recipe to a bundle: `data` -> `networks` -> `models` -> `pipeline` -> `report`."""
