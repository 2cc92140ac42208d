"""What a fitted model says: function samples in bounded chunks, predictives, bounds, and the audit of its ELBO."""
