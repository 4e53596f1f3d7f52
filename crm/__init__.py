"""The business of Customer Desk; it knows neither screens (Flask-Admin) nor the queue (RQ)."""
