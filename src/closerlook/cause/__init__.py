"""What causes a span: leaving instances out, the likelihood of spans, gradients, and sheets of single cases."""
