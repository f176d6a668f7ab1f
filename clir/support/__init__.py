"""What every room needs and no room is about: errors, whole files, manifests, progress, the JVM."""
