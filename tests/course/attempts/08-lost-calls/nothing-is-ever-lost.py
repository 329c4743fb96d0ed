# points: 1, lost: turns without a second try, dice without a second try, dice with further tries
shares = [0.0] * 4
