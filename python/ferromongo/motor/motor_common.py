"""What `motor.motor_common` has."""

callback_type_error = TypeError("callback must be a callable")
