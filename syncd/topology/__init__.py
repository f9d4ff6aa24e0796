"""Who stands where, who keeps which unit in which term, who may read."""
