class PoolRegistry:
    def __init__(self, pool): self.codecs = {}
