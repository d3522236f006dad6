// keystead-simulate
