def measure_predict(): return {}
