// keystead
