# points: 0, lost: first complaint, second complaint, third complaint, nothing else
mends = """
"""
