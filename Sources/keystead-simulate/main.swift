import Simulator
let r = Simulation(options: SimulationOptions(seed: 1)).run()
print(r.operations)
