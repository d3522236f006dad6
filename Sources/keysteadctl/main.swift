// keysteadctl
