"""The Run, one ranking per topic: read, checked, put in canonical order, written, fused."""
