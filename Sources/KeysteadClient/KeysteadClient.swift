// KeysteadClient
