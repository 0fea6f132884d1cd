SLOW = ()
def reason(ours, name): return None
